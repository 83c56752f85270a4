package deploy

import (
	"context"
	"slices"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// step is how often follow looks.
const step = 200 * time.Millisecond

// watch is what follow looks at.
type watch struct {
	project  spec.ProjectID
	services []spec.ServiceID // none is all of them
	since    time.Time        // the loop must have looked after it
	view     project.View     // what there is to see just now
	until    time.Time        // what serves and is not well by then has failed
	sent     time.Time        // a volume that nobody fills by then is not filled
}

// recovery is how long what serves may take to be well after a change.
const recovery = 5 * time.Minute

// follow reports how services fare until all are settled.
// Errors: Failed, one problem per service that did not get there; Conflict
// when somebody removed the project meanwhile.
func (d *Deployer) follow(ctx context.Context, w watch, report func(api.Progress)) error {
	told := map[string]api.Step{}
	w.until = time.Now().Add(recovery)
	w.sent = w.until
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		r, records, err := d.read(ctx, w.project)
		if ctx.Err() != nil {
			return problem.New(problem.Unavailable, "the server stops; the deploy goes on when it is back").With("look with: havre ps")
		}
		if err != nil {
			return err
		}
		w.view = d.view(records)
		if d.fills(r.ID) {
			w.sent = time.Now().Add(recovery)
		}
		if done, wrong := d.progress(w, r, told, report); done {
			return wrong.AsError()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (d *Deployer) record(ctx context.Context, id spec.ProjectID) (project.Record, error) {
	r, _, err := d.read(ctx, id)
	return r, err
}

// read gives a project and all of them.
func (d *Deployer) read(ctx context.Context, id spec.ProjectID) (project.Record, []project.Record, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return project.Record{}, nil, err
	}
	i := slices.IndexFunc(records, func(r project.Record) bool { return r.ID == id && !r.Removed })
	if i < 0 {
		return project.Record{}, nil, problem.New(problem.Conflict, "the project was removed meanwhile").With("apply it again")
	}
	return records[i], records, nil
}

// progress reports what changed since told, and whether all is settled.
func (d *Deployer) progress(w watch, r project.Record, told map[string]api.Step, report func(api.Progress)) (bool, problem.List) {
	view, out := w.view, d.Loop.Outside()
	all := view.Snapshot.At.After(w.since)
	var wrong problem.List
	var words []string
	for _, s := range r.Present() {
		if len(w.services) > 0 && !slices.Contains(w.services, s.ID) {
			continue
		}
		st := project.Progress(r, s, view, out)
		if told[s.Name] != st {
			told[s.Name] = st
			report(api.Progress{Service: &st})
		}
		e := project.Ended(r, s, st, view)
		if settled, _ := s.Settled(); settled && !e.Done && time.Now().After(w.until) {
			e = project.End{Done: true}
		}
		if !e.Done && r.Unfilled(s) && time.Now().After(w.sent) {
			e = project.End{Done: true, Why: st.Says + ", and nobody sends it"}
		}
		all = all && e.Done
		if e.Done && !e.OK {
			wrong = append(wrong, project.Failure(project.Ref{Record: &r, Service: s}, st, e.Why))
			for _, line := range project.LastLines(s) {
				words = append(words, s.Name+" | "+line)
			}
		}
	}
	if !all {
		return false, nil
	}
	for _, line := range words {
		report(api.Progress{Line: line})
	}
	return true, wrong
}

// unchanged tells whether s is still meant to be as it was when it was saved.
func (d *Deployer) unchanged(ctx context.Context, ref project.Ref, s *project.Service) (bool, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return false, err
	}
	for _, r := range records {
		now := r.Service(s.Name)
		if r.ID == ref.Record.ID && now != nil && now.ID == s.ID {
			return now.Removed == s.Removed && now.Stopped == s.Stopped, nil
		}
	}
	return true, nil // forgotten, which is gone as well
}

// gone waits until every observed rollout of s satisfies enough.
// Errors: Conflict when somebody wanted it back meanwhile.
func (d *Deployer) gone(ctx context.Context, ref project.Ref, s *project.Service, enough func(service.Observed) bool) error {
	tick := time.NewTicker(step)
	defer tick.Stop()
	asked := time.Now()
	for {
		v := d.Loop.View()
		left := slices.ContainsFunc(v.Snapshot.Services, func(o service.Observed) bool { return o.ID == s.ID && !enough(o) })
		if !left && v.Snapshot.At.After(asked) {
			return nil
		}
		same, err := d.unchanged(ctx, ref, s)
		switch {
		case ctx.Err() != nil:
			return problem.New(problem.Unavailable, "the server stops; %s is taken care of when it is back", s.Name).With("look with: havre ps")
		case err != nil:
			return err
		case !same:
			return problem.New(problem.Conflict, "somebody wanted %s back meanwhile", s.Name).With("look with: havre ps")
		}
		d.Loop.Poke()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
