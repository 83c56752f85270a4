// Package projecttest holds what project's stores promise, and a store for
// tests that keeps the promise in memory.
package projecttest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// Memory remembers projects until it is dropped. The zero Memory is empty. It
// may be used by several goroutines at once.
type Memory struct {
	mu      sync.Mutex // guards records
	records map[spec.ProjectID]project.Record
}

// Projects gives everything that is remembered, by environment and name.
func (m *Memory) Projects(ctx context.Context) ([]project.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []project.Record
	for _, r := range m.records {
		all = append(all, copied(r))
	}
	slices.SortFunc(all, func(a, b project.Record) int {
		return cmp.Or(strings.Compare(a.Environment, b.Environment), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// SaveProject remembers r in place of what was remembered under its id.
// Errors: Busy when it was changed since r was read.
func (m *Memory) SaveProject(ctx context.Context, r project.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	version := 0
	for id, old := range m.records {
		switch {
		case id == r.ID:
			version = old.Version
		case old.Environment == r.Environment && old.Name == r.Name:
			return fmt.Errorf("save project %s: its name is taken", r.Name)
		}
	}
	if version != r.Version {
		return problem.New(problem.Busy, "someone else changed it meanwhile").With("try again")
	}
	r.Version++
	stored, err := written(r)
	if err != nil {
		return err
	}
	if m.records == nil {
		m.records = map[spec.ProjectID]project.Record{}
	}
	m.records[r.ID] = stored
	return nil
}

// ForgetProject removes all memory of a project. It is no error when there is
// none.
func (m *Memory) ForgetProject(ctx context.Context, id spec.ProjectID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, id)
	return nil
}

// written is what a store on disk would read again of r, which it keeps as JSON:
// who hopes for more than that is wrong here, too.
func written(r project.Record) (project.Record, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return project.Record{}, err
	}
	var again project.Record
	err = json.Unmarshal(text, &again)
	return again, err
}
