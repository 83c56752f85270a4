package project

import (
	"context"
	"fmt"
	"slices"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
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
	view     View             // what there is to see just now
	until    time.Time        // what serves and is not well by then has failed
}

// recovery is how long what serves may take to be well after a change.
const recovery = 5 * time.Minute

// follow reports how services fare until all are settled.
// Errors: Failed, one problem per service that did not get there; Conflict
// when somebody removed the project meanwhile.
func (d *Deployer) follow(ctx context.Context, w watch, report func(api.Progress)) error {
	told := map[string]api.Step{}
	w.until = time.Now().Add(recovery)
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
		if done, wrong := d.progress(w, r, told, report); done {
			return wrong.AsError()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (d *Deployer) record(ctx context.Context, id spec.ProjectID) (Record, error) {
	r, _, err := d.read(ctx, id)
	return r, err
}

// read gives a project and all of them.
func (d *Deployer) read(ctx context.Context, id spec.ProjectID) (Record, []Record, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return Record{}, nil, err
	}
	i := slices.IndexFunc(records, func(r Record) bool { return r.ID == id && !r.Removed })
	if i < 0 {
		return Record{}, nil, problem.New(problem.Conflict, "the project was removed meanwhile").With("apply it again")
	}
	return records[i], records, nil
}

// progress reports what changed since told, and whether all is settled.
func (d *Deployer) progress(w watch, r Record, told map[string]api.Step, report func(api.Progress)) (bool, problem.List) {
	view, out := w.view, d.Loop.Outside()
	all := view.Snapshot.At.After(w.since)
	var wrong problem.List
	var words []string
	for _, s := range r.Present() {
		if len(w.services) > 0 && !slices.Contains(w.services, s.ID) {
			continue
		}
		st := progressOf(r, s, view, out)
		if told[s.Name] != st {
			told[s.Name] = st
			report(api.Progress{Service: &st})
		}
		e := ended(r, s, st, view)
		if settled, _ := s.Settled(); settled && !e.done && time.Now().After(w.until) {
			e = end{done: true}
		}
		all = all && e.done
		if e.done && !e.ok {
			wrong = append(wrong, failure(Ref{&r, s}, st, e.why))
			for _, line := range lastLines(s) {
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

// end tells whether more will happen to a service.
type end struct {
	done, ok bool
	why      string // it is not ok, if the service's own state does not say
}

// ended tells whether nothing more will happen to s. A service that waits for
// one that will not come has failed, too; one that serves still has to be seen
// well.
func ended(r Record, s *Service, st api.Step, v View) end {
	done, ok := s.Settled()
	cur := s.Rollout(s.Target)
	switch {
	case done && ok && cur != nil && cur.Spec.Runs() && !s.Stopped:
		return end{done: st.State == "healthy" || st.State == "completed" || st.State == "failed", ok: st.State != "failed"}
	case done:
		return end{done: true, ok: ok}
	}
	if observed(v.Snapshot, s.ID)[s.Target].SwarmID != "" {
		return end{} // it has started, so it waits for nobody
	}
	why := stuck(r, s, v)
	return end{done: why != "", why: why}
}

func progressOf(r Record, s *Service, v View, out Outside) api.Step {
	a := Status(r, s, v, out)
	st := api.Step{Name: s.Name, State: a.State, Says: a.Says}
	switch a.State {
	case "failing":
		st.State = "failed"
	case "starting":
		if closed(r, s, v) != nil && (s.Active == 0 || s.Target == s.Active) {
			st.State = "waiting"
		}
	case "idle":
		st.State = "stopped"
	case "healthy":
		if s.Active != s.Target {
			st.State, st.Says = "starting", onTheWay(s)
		}
	}
	return st
}

// onTheWay says how the target takes the place of what serves.
func onTheWay(s *Service) string {
	old, next := s.Rollout(s.Active), s.Rollout(s.Target)
	if old != nil && next != nil && old.Spec.WritesData() && next.Spec.WritesData() {
		return fmt.Sprintf("r%d stops, then r%d starts", s.Active, s.Target)
	}
	return fmt.Sprintf("r%d starts beside r%d", s.Target, s.Active)
}

func failure(ref Ref, st api.Step, why string) *problem.Problem {
	s := ref.Service
	reason := st.Says
	if last := s.Rollout(s.Last()); last != nil && last.State == Failed {
		reason = last.Reason
	}
	if why != "" {
		reason = why
	}
	says := fmt.Sprintf("%s did not get healthy: %s", ref, reason)
	switch serves := s.Rollout(s.Active); {
	case serves == nil || s.Last() == s.Active:
	case serves.Trouble.Resting():
		says += fmt.Sprintf("; r%d is tried again at %s", s.Active, clock(serves.Trouble.Until))
	default:
		says += fmt.Sprintf("; r%d serves on", s.Active)
	}
	p := problem.New(problem.Failed, "%s", says).With("havre why %s", ref)
	return p.At(problem.Place{File: s.Name})
}

// unchanged tells whether s is still meant to be as it was when it was saved.
func (d *Deployer) unchanged(ctx context.Context, ref Ref, s *Service) (bool, error) {
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
func (d *Deployer) gone(ctx context.Context, ref Ref, s *Service, enough func(service.Observed) bool) error {
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
