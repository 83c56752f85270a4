package adopt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"

	"havre/internal/adopt"
	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/spec"
)

// machine plays guard, server and disk. It dies at its nth act, before or
// after the act was done.
type machine struct {
	runs    map[string]bool   // old ones and projects
	data    map[string]string // where the data of a volume is
	there   map[string]bool   // old ones that are not removed
	journal []byte
	acts    int
	dieAt   int // 0: never
	after   bool
	sick    bool // the project never gets healthy
}

var errKilled = errors.New("killed")

func newMachine() *machine {
	return &machine{runs: map[string]bool{"old": true}, there: map[string]bool{"old": true}, data: map[string]string{"vol": "old"}}
}

func (m *machine) act(do func() error) error {
	m.acts++
	if m.acts == m.dieAt && !m.after {
		return errKilled
	}
	err := do()
	if m.acts == m.dieAt {
		return errKilled
	}
	return err
}

func (m *machine) Tag(context.Context, string, adopt.Image) error {
	return m.act(func() error { return nil })
}

func (m *machine) Switch(_ context.Context, o adopt.Object, on bool) error {
	return m.act(func() error {
		if on && m.data["vol"] != "old" {
			return errors.New("an old one would start without its data")
		}
		m.runs[o.Name] = on
		return nil
	})
}

func (m *machine) Move(_ context.Context, _ dockercall.Volume, from adopt.Move, back bool) error {
	return m.act(func() error {
		if m.data[from.From] == map[bool]string{false: "new", true: "old"}[back] {
			return nil
		}
		if m.runs["old"] || m.runs["new"] {
			return errors.New("data moves under somebody's feet")
		}
		m.data[from.From] = map[bool]string{false: "new", true: "old"}[back]
		return nil
	})
}

func (m *machine) Remove(_ context.Context, o adopt.Object, _ adopt.Move) error {
	return m.act(func() error { delete(m.there, o.Name); return nil })
}

type projects struct{ *machine }

func (p projects) Apply(_ context.Context, _ string, want spec.Project) error {
	return p.act(func() error {
		if want.Services[0].Replicas == 0 {
			p.there["new"] = true
			return nil
		}
		if p.runs["old"] || p.data["vol"] != "new" {
			return errors.New("it starts beside the old one, or without its data")
		}
		p.runs["new"] = true
		if p.sick {
			return problem.New(problem.Failed, "not healthy")
		}
		return nil
	})
}

func (p projects) ID(context.Context, string, string) (spec.ProjectID, error) { return "abcdefgh", nil }

func (p projects) Remove(context.Context, string, string) error {
	return p.act(func() error {
		if !p.there["new"] {
			return problem.New(problem.NotFound, "no project")
		}
		delete(p.there, "new")
		p.runs["new"] = false
		return nil
	})
}

func (m *machine) Save(i adopt.Import) error {
	return m.act(func() (err error) { m.journal, err = json.Marshal(i); return err })
}

func (m *machine) Forget(string) error {
	return m.act(func() error { m.journal = nil; return nil })
}

func (m *machine) begun(t *testing.T) *adopt.Import {
	t.Helper()
	var i adopt.Import
	if err := json.Unmarshal(m.journal, &i); err != nil {
		t.Fatal(err)
	}
	return &i
}

func (m *machine) importer() adopt.Importer {
	return adopt.Importer{Engine: m, Projects: projects{m}, Journal: m, Tell: func(string, ...any) {}}
}

func fresh() *adopt.Import {
	return &adopt.Import{
		Environment: "prod", Project: spec.Project{Name: "p", Services: []spec.Service{{Name: "new", Image: "a", Replicas: 1}}},
		Images: []adopt.Image{{Name: "a"}}, Objects: []adopt.Object{{Name: "old"}}, Moves: []adopt.Move{{From: "vol", Name: "vol"}},
	}
}

// Whatever line it dies at, before or after the deed, the next call ends it,
// and undoing or confirming ends it as if it had never died.
func TestImportKilledAnywhereEndsAlike(t *testing.T) {
	for _, end := range []string{"carry", "undo", "confirm"} {
		for at := 1; at < 30; at++ {
			for _, after := range []bool{false, true} {
				m := newMachine()
				m.dieAt, m.after = at, after
				name := fmt.Sprintf("%s, killed at %d, after %v", end, at, after)
				m.through(t, name, end)
			}
		}
	}
}

// through carries an import out, going on as a person would after each death.
func (m *machine) through(t *testing.T, name, end string) {
	t.Helper()
	ctx, run := t.Context(), m.importer()
	if err := carried(ctx, run, fresh()); errors.Is(err, errKilled) {
		if m.journal == nil { // nothing was begun
			if !m.runs["old"] || m.data["vol"] != "old" {
				t.Errorf("%s: something happened before the journal was there", name)
			}
			err = run.Carry(ctx, fresh())
		} else if end == "undo" {
			err = run.Undo(ctx, m.begun(t))
		} else {
			err = run.Carry(ctx, m.begun(t))
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
	}
	for range 2 {
		if m.journal == nil || end == "carry" {
			break
		}
		do := run.Undo
		if end == "confirm" {
			do = run.Confirm
		}
		if err := do(ctx, m.begun(t)); err != nil && !errors.Is(err, errKilled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := &machine{runs: map[string]bool{"old": false, "new": true}, data: map[string]string{"vol": "new"}, there: map[string]bool{"old": true, "new": true}}
	switch end {
	case "undo":
		want = newMachine()
		want.runs["new"] = m.runs["new"] && true
	case "confirm":
		delete(want.there, "old")
	}
	if end == "undo" && m.runs["new"] || !maps.Equal(m.runs, want.runs) && end != "undo" || m.runs["old"] != want.runs["old"] || !maps.Equal(m.data, want.data) || !maps.Equal(m.there, want.there) {
		t.Errorf("%s: runs %v, data %v, there %v", name, m.runs, m.data, m.there)
	}
	if (m.journal == nil) != (end != "carry") {
		t.Errorf("%s: the journal is %s", name, m.journal)
	}
}

// carried dies where the machine dies: what goes back by itself must not hide it.
func carried(ctx context.Context, run adopt.Importer, i *adopt.Import) error {
	dead, die := context.WithCancel(ctx)
	m := run.Engine.(*machine)
	defer die()
	return adopt.Importer{Engine: run.Engine, Projects: run.Projects, Journal: run.Journal, Tell: func(string, ...any) {
		if m.dieAt > 0 && m.acts >= m.dieAt-1 {
			die()
		}
	}}.Carry(dead, i)
}

func TestImportThatDoesNotGetHealthyGoesBack(t *testing.T) {
	m := newMachine()
	m.sick = true
	if err := m.importer().Carry(t.Context(), fresh()); problem.KindOf(err) != problem.Failed {
		t.Error(err)
	}
	if !m.runs["old"] || m.runs["new"] || m.data["vol"] != "old" || m.journal != nil {
		t.Errorf("%+v", m)
	}
}

func TestConfirmedImportCannotBeUndoneNorAnUndoneOneConfirmed(t *testing.T) {
	m := newMachine()
	i := fresh()
	i.Stage = adopt.Confirming
	if err := m.importer().Undo(t.Context(), i); problem.KindOf(err) != problem.Conflict {
		t.Error(err)
	}
	i.Stage = adopt.Undoing
	if err := m.importer().Confirm(t.Context(), i); problem.KindOf(err) != problem.Conflict {
		t.Error(err)
	}
	if err := m.importer().Carry(t.Context(), i); problem.KindOf(err) != problem.Conflict {
		t.Error(err)
	}
}
