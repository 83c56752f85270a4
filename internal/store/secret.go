package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
)

// KeepSecret remembers a sealed value under its version. An environment's name
// means it from then on.
func (s *Store) KeepSecret(ctx context.Context, at project.Secret, sealed []byte) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		current := 0
		if at.Project == "" {
			current = 1
			if _, err := tx.ExecContext(ctx, `UPDATE secret SET current = 0 WHERE environment = ? AND name = ?`, at.Environment, at.Name); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO secret (version, environment, project, name, sealed, created, current) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (version) DO UPDATE SET sealed = excluded.sealed, created = excluded.created, current = excluded.current`,
			at.Version, at.Environment, at.Project, at.Name, sealed, time.Now().Unix(), current)
		return err
	})
}

// SealedSecret gives the sealed value of a version.
// Errors: NotFound.
func (s *Store) SealedSecret(ctx context.Context, version string) ([]byte, error) {
	var sealed []byte
	err := s.db.QueryRowContext(ctx, `SELECT sealed FROM secret WHERE version = ?`, version).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, problem.New(problem.NotFound, "the value is not kept any more")
	}
	return sealed, err
}

// Secrets gives what the names of an environment mean, sorted; all
// environments' when it is "".
func (s *Store) Secrets(ctx context.Context, environment string) ([]project.Secret, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT version, environment, name, created FROM secret
		WHERE current = 1 AND (environment = ? OR ? = '') ORDER BY environment, name`, environment, environment)
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	defer rows.Close()
	var all []project.Secret
	for rows.Next() {
		var one project.Secret
		var created int64
		if err := rows.Scan(&one.Version, &one.Environment, &one.Name, &created); err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
		one.Created = time.Unix(created, 0).UTC()
		all = append(all, one)
	}
	return all, rows.Err()
}

// unneeded are values that no remembered rollout mounts and no name means.
const unneeded = `current = 0 AND version NOT IN (SELECT json_extract(m.value, '$.Version') FROM rollout r, json_each(r.made, '$.Secrets') m)`

// ForgetSecret lets a name of an environment mean nothing any more. Values of
// it that remembered rollouts mount stay.
func (s *Store) ForgetSecret(ctx context.Context, environment, name string) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE secret SET current = 0 WHERE environment = ? AND project = '' AND name = ?`, environment, name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM secret WHERE environment = ? AND project = '' AND name = ? AND `+unneeded, environment, name)
		return err
	})
}

// TidySecrets forgets values that nothing needs and that were kept before a
// time: a younger one may be about to be mounted.
func (s *Store) TidySecrets(ctx context.Context, before time.Time) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM secret WHERE created < ? AND `+unneeded, before.Unix())
		return err
	})
}
