package store

import (
	"context"
	"strings"
	"sync"

	"havre/internal/project"
	"havre/internal/spec"
)

// head tells which state of a project the database has: each change counts its
// version on.
type head struct {
	id      spec.ProjectID
	version int
}

// memory keeps what was read of projects for as long as the database has the
// same version of them: to read a thousand anew from JSON takes a second, and
// the loop and every list ask for all of them. The zero value is ready.
type memory struct {
	mu    sync.Mutex
	known map[spec.ProjectID]project.Record

	copier copier
}

// manyMissing is how many projects are worth one reading of all.
const manyMissing = 100

// heads lists the versions of all projects, by environment and name.
func (s *Store) heads(ctx context.Context) ([]head, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, version FROM project ORDER BY environment, name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []head
	for rows.Next() {
		var h head
		if err := rows.Scan(&h.id, &h.version); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, rows.Err()
}

// missing gives those of which this version is not known.
func (m *memory) missing(heads []head) (ids []spec.ProjectID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range heads {
		if r, ok := m.known[h.id]; !ok || r.Version != h.version {
			ids = append(ids, h.id)
		}
	}
	return ids
}

// keep remembers records that were just read. An older one of two readers that
// overtook each other does no harm: its version tells that it is old.
func (m *memory) keep(fresh []project.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[spec.ProjectID]project.Record{}
	}
	for _, r := range fresh {
		m.known[r.ID] = r
	}
}

// get gives copies of what is known of these, and forgets all others. One that
// was removed from the database meanwhile is left out.
func (m *memory) get(heads []head) []project.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := make([]project.Record, 0, len(heads))
	for _, h := range heads {
		if r, ok := m.known[h.id]; ok {
			records = append(records, copied(&m.copier, r))
		}
	}
	if len(m.known) > len(records) {
		m.known = map[spec.ProjectID]project.Record{}
		for _, r := range records {
			m.known[r.ID] = copied(&m.copier, r)
		}
	}
	return records
}

// whereOf picks projects for load: these, or all of them when they are many.
func whereOf(ids []spec.ProjectID) (where string, args []any) {
	if len(ids) > manyMissing {
		return "", nil
	}
	for _, id := range ids {
		args = append(args, id)
	}
	return "WHERE p.id IN (?" + strings.Repeat(", ?", len(ids)-1) + ")", args
}
