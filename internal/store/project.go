package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// Projects gives everything that is remembered of all projects, removed ones
// too, by environment and name.
func (s *Store) Projects(ctx context.Context) ([]project.Record, error) {
	heads, err := s.heads(ctx)
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	if missing := s.read.missing(heads); len(missing) > 0 {
		where, args := whereOf(missing)
		fresh, err := s.load(ctx, where, args)
		if err != nil {
			return nil, err
		}
		s.read.keep(fresh)
	}
	return s.read.get(heads), nil
}

// Project gives one project.
// Errors: NotFound.
func (s *Store) Project(ctx context.Context, environment, name string) (project.Record, error) {
	found, err := s.load(ctx, "WHERE p.environment = ? AND p.name = ?", []any{environment, name})
	if err != nil {
		return project.Record{}, err
	}
	if len(found) == 0 {
		return project.Record{}, problem.New(problem.NotFound, "no project %s in environment %s", name, environment).With("list what there is with: havre ps")
	}
	return found[0], nil
}

// load reads whole projects in one transaction, so that no half of a change is seen.
func (s *Store) load(ctx context.Context, where string, args []any) ([]project.Record, error) {
	var records []project.Record
	err := s.within(ctx, func(tx *sql.Tx) error {
		var err error
		if records, err = projects(ctx, tx, where, args); err != nil {
			return err
		}
		at := map[spec.ProjectID]int{}
		for i, r := range records {
			at[r.ID] = i
		}
		rows, err := tx.QueryContext(ctx, `SELECT s.project, s.id, s.name, s.stopped, s.removed, s.active, s.target, r.made
			FROM service s JOIN project p ON p.id = s.project LEFT JOIN rollout r ON r.service = s.id `+where+`
			ORDER BY s.project, s.name, r.number`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scanService(rows, records, at); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read projects: %w", err)
	}
	return records, nil
}

func projects(ctx context.Context, tx *sql.Tx, where string, args []any) ([]project.Record, error) {
	rows, err := tx.QueryContext(ctx, `SELECT p.id, p.environment, p.name, p.subnet, p.removed, p.version, p.declared, p.links, p.awaits FROM project p `+where+` ORDER BY p.environment, p.name`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []project.Record
	for rows.Next() {
		var r project.Record
		var declared, links, awaits []byte
		if err := rows.Scan(&r.ID, &r.Environment, &r.Name, &r.Subnet, &r.Removed, &r.Version, &declared, &links, &awaits); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(links, &r.Links); err != nil {
			return nil, fmt.Errorf("project %s.%s: %w", r.Environment, r.Name, err)
		}
		if err := json.Unmarshal(awaits, &r.Awaits); err != nil {
			return nil, fmt.Errorf("project %s.%s: %w", r.Environment, r.Name, err)
		}
		if err := json.Unmarshal(declared, &r.Declared); err != nil {
			return nil, fmt.Errorf("project %s.%s: %w", r.Environment, r.Name, err)
		}
		records = append(records, r)
	}
	return records, rows.Err()
}

func scanService(rows *sql.Rows, records []project.Record, at map[spec.ProjectID]int) error {
	var owner spec.ProjectID
	var s project.Service
	var made []byte
	if err := rows.Scan(&owner, &s.ID, &s.Name, &s.Stopped, &s.Removed, &s.Active, &s.Target, &made); err != nil {
		return err
	}
	r := &records[at[owner]]
	if n := len(r.Services); n == 0 || r.Services[n-1].ID != s.ID {
		r.Services = append(r.Services, s)
	}
	if made == nil {
		return nil
	}
	var ro project.Rollout
	if err := json.Unmarshal(made, &ro); err != nil {
		return fmt.Errorf("rollout of %s: %w", s.Name, err)
	}
	last := &r.Services[len(r.Services)-1]
	last.Rollouts = append(last.Rollouts, ro)
	return nil
}

// SaveProject remembers r in place of what was remembered under its id.
// Errors: Busy when it was changed since r was read; read it again and redo
// the change.
func (s *Store) SaveProject(ctx context.Context, r project.Record) error {
	err := s.within(ctx, func(tx *sql.Tx) error {
		if err := saveHead(ctx, tx, r); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM service WHERE project = ?`, r.ID); err != nil {
			return err
		}
		for _, svc := range r.Services {
			if err := saveService(ctx, tx, r.ID, svc); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("save project %s.%s: %w", r.Environment, r.Name, err)
	}
	return nil
}

func saveHead(ctx context.Context, tx *sql.Tx, r project.Record) error {
	var version int
	err := tx.QueryRowContext(ctx, `SELECT version FROM project WHERE id = ?`, r.ID).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if version != r.Version {
		return problem.New(problem.Busy, "someone else changed it meanwhile").With("try again")
	}
	declared, err := json.Marshal(r.Declared)
	if err != nil {
		return err
	}
	links, err := json.Marshal(r.Links)
	if err != nil {
		return err
	}
	awaits, err := json.Marshal(r.Awaits)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO project (id, environment, name, subnet, removed, version, declared, links, awaits) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, subnet = excluded.subnet, removed = excluded.removed, version = excluded.version, declared = excluded.declared, links = excluded.links, awaits = excluded.awaits`,
		r.ID, r.Environment, r.Name, r.Subnet, r.Removed, version+1, declared, links, awaits)
	return err
}

func saveService(ctx context.Context, tx *sql.Tx, owner spec.ProjectID, s project.Service) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO service (id, project, name, stopped, removed, active, target) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		s.ID, owner, s.Name, s.Stopped, s.Removed, s.Active, s.Target)
	if err != nil {
		return err
	}
	for _, ro := range s.Rollouts {
		made, err := json.Marshal(ro)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO rollout (service, number, state, image, made) VALUES (?, ?, ?, ?, ?)`, s.ID, ro.Number, ro.State, ro.Image.ID, made); err != nil {
			return err
		}
	}
	return nil
}

// ForgetProject removes all memory of a project.
func (s *Store) ForgetProject(ctx context.Context, id spec.ProjectID) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM project WHERE id = ?`, id)
		return err
	})
}
