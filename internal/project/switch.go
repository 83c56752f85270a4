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

// those are the services a reference means.
func (r Ref) those() []*Service {
	if r.Service != nil {
		return []*Service{r.Service}
	}
	return r.Record.Present()
}

// Start starts services that were stopped, and reports until they are healthy.
// Errors: NotFound, Conflict; Failed when one does not get healthy.
func (d *Deployer) Start(ctx context.Context, t api.Target, report func(api.Progress)) error {
	ref, err := d.change(ctx, t, func(ref Ref) error { return stop(ref, false) })
	if err != nil {
		return err
	}
	return d.follow(ctx, ref.Record.ID, only(ref, report))
}

// Stop stops services until somebody starts them again.
// Errors: NotFound, Conflict.
func (d *Deployer) Stop(ctx context.Context, t api.Target, report func(api.Progress)) error {
	ref, err := d.change(ctx, t, func(ref Ref) error { return stop(ref, true) })
	if err != nil {
		return err
	}
	for _, s := range ref.those() {
		if err := d.gone(ctx, s, func(o service.Observed) bool { return len(o.Live()) == 0 }); err != nil {
			return err
		}
		report(api.Progress{Service: &api.Step{Name: s.Name, State: "stopped"}})
	}
	return nil
}

func stop(ref Ref, stopped bool) error {
	changed := false
	for _, s := range ref.those() {
		changed = changed || s.Stopped != stopped
		s.Stopped = stopped
		if t := s.Rollout(s.Target); !stopped && t != nil && t.State == Pending {
			t.Started = time.Time{} // its time to get healthy begins anew
		}
	}
	if !changed {
		return errSkip
	}
	return nil
}

// Restart makes services' containers anew: as a rollout like the one that
// serves, so that nothing is cut where an update would not be.
// Errors: NotFound, Conflict; Failed when one does not get healthy.
func (d *Deployer) Restart(ctx context.Context, t api.Target, report func(api.Progress)) error {
	ref, err := d.change(ctx, t, func(ref Ref) error {
		for _, s := range ref.those() {
			cur := s.Rollout(s.Target)
			if cur == nil {
				continue
			}
			next := *cur
			next.Number, next.State, next.Reason, next.Lines = s.Last()+1, Pending, "", nil
			next.Created, next.Started = time.Now().UTC(), time.Time{}
			if cur.State == Pending {
				cur.State = Retired
			}
			s.Target, s.Stopped = next.Number, false
			s.add(next)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.follow(ctx, ref.Record.ID, only(ref, report))
}

// only passes on what is about ref.
func only(ref Ref, report func(api.Progress)) func(api.Progress) {
	return func(p api.Progress) {
		if p.Service == nil || ref.Service == nil || p.Service.Name == ref.Service.Name {
			report(p)
		}
	}
}

// gone waits until every observed rollout of s satisfies enough.
func (d *Deployer) gone(ctx context.Context, s *Service, enough func(service.Observed) bool) error {
	tick := time.NewTicker(step)
	defer tick.Stop()
	asked := time.Now()
	for {
		v := d.Loop.View()
		left := slices.ContainsFunc(v.Snapshot.Services, func(o service.Observed) bool { return o.ID == s.ID && !enough(o) })
		if !left && v.Snapshot.At.After(asked) {
			return nil
		}
		d.Loop.Poke()
		select {
		case <-ctx.Done():
			return problem.New(problem.Unavailable, "the server stops; %s is taken care of when it is back", s.Name).With("look with: havre ps")
		case <-tick.C:
		}
	}
}

// Remove takes a service or a project away and waits until it is gone.
// Volumes stay unless they are named to go.
// Errors: NotFound, Conflict; Invalid when another service needs it.
func (d *Deployer) Remove(ctx context.Context, t api.Target, volumes bool) (api.Removed, error) {
	var mounted []string
	ref, err := d.change(ctx, t, func(ref Ref) error {
		mounted = nil
		for _, s := range ref.those() {
			if user := neededBy(ref, s); user != "" {
				return problem.New(problem.Invalid, "%s needs %s", user, s.Name).With("remove %s first, or the whole project with: havre rm %s/", user, ref.Record.Name)
			}
			if cur := s.Current(); cur != nil {
				mounted = append(mounted, volumesOf(cur.Spec)...)
			}
			s.Removed = true
		}
		names := map[string]bool{}
		for _, s := range ref.those() {
			names[s.Name] = true
		}
		if ref.Service != nil {
			names[ref.Service.Name] = true
		}
		ref.Record.Declared.Services = slices.DeleteFunc(slices.Clone(ref.Record.Declared.Services), func(s spec.Service) bool { return names[s.Name] })
		if ref.Service == nil {
			ref.Record.Removed, ref.Record.Declared.Services = true, nil
		}
		return nil
	})
	if err != nil {
		return api.Removed{}, err
	}
	return d.cleared(ctx, ref, mounted, volumes)
}

func neededBy(ref Ref, s *Service) string {
	if ref.Service == nil {
		return ""
	}
	for _, other := range ref.Record.Declared.Services {
		for _, n := range other.Needs {
			if n.Service == s.Name && other.Name != s.Name {
				return other.Name
			}
		}
	}
	return ""
}

func (d *Deployer) cleared(ctx context.Context, ref Ref, mounted []string, volumes bool) (api.Removed, error) {
	var done api.Removed
	full := ref.String()
	for i := range ref.Record.Services {
		s := &ref.Record.Services[i]
		if !s.Removed || ref.Service != nil && s.ID != ref.Service.ID {
			continue
		}
		if err := d.gone(ctx, s, func(service.Observed) bool { return false }); err != nil {
			return done, err
		}
		done.Gone = append(done.Gone, "service "+s.Name)
	}
	r := ref.Record
	left, err := d.Volumes.Volumes(ctx, r.Environment, r.ID)
	if err != nil {
		return done, err
	}
	for _, v := range left {
		mine := ref.Service == nil || slices.Contains(mounted, v) && !usedBy(r, v)
		switch {
		case volumes && mine:
			if err := d.Volumes.RemoveVolume(ctx, r.Environment, r.ID, v); err != nil {
				return done, fmt.Errorf("remove volume %s of %s: %w", v, full, err)
			}
			done.Gone = append(done.Gone, "volume "+v)
		case mine:
			done.Kept = append(done.Kept, "volume "+v)
		}
	}
	if ref.Service == nil && len(done.Kept) == 0 {
		return done, d.forget(ctx, r)
	}
	return done, nil
}

// forget waits until the network is gone, then drops the record.
func (d *Deployer) forget(ctx context.Context, r *Record) error {
	tick := time.NewTicker(step)
	defer tick.Stop()
	for slices.ContainsFunc(d.Loop.View().Snapshot.Networks, func(n service.Network) bool { return n.Project == r.ID }) {
		d.Loop.Poke()
		select {
		case <-ctx.Done():
			return nil // the record stays as removed; the loop finishes the rest
		case <-tick.C:
		}
	}
	return d.Records.ForgetProject(ctx, r.ID)
}

func usedBy(r *Record, volume string) bool {
	return slices.ContainsFunc(r.Present(), func(s *Service) bool {
		cur := s.Current()
		return cur != nil && slices.Contains(volumesOf(cur.Spec), volume)
	})
}
