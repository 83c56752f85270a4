package deploy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// meant are the services a reference means.
func meant(r project.Ref) []*project.Service {
	if r.Service != nil {
		return []*project.Service{r.Service}
	}
	return r.Record.Present()
}

// Start starts services that were stopped, with what they need and link to, and
// reports until they are healthy.
// Errors: NotFound; Conflict, also when it is declared as disabled; Failed when
// one does not get healthy.
func (d *Deployer) Start(ctx context.Context, t api.Target, report func(api.Progress)) error {
	ref, records, err := d.find(ctx, t)
	if err != nil {
		return err
	}
	if err := enabled(ref); err != nil {
		return err
	}
	for _, other := range beyond(ref, project.LinksOf(records)) {
		if _, err := d.change(ctx, api.Target{Name: other.String()}, func(ref project.Ref) error { return stop(together(ref), false) }); err != nil {
			return err
		}
	}
	var along []*project.Service
	ref, err = d.change(ctx, t, func(ref project.Ref) error {
		along = together(ref)
		if err := enabled(ref); err != nil {
			return err
		}
		return stop(along, false)
	})
	if err != nil {
		return err
	}
	w := watch{project: ref.Record.ID, since: time.Now()}
	for _, s := range along {
		w.services = append(w.services, s.ID)
	}
	return d.follow(ctx, w, report)
}

// together are the services a reference means, and those of its project that they
// need or link to, but for those that are not to run.
func together(r project.Ref) []*project.Service {
	all := slices.Clone(meant(r))
	for i := 0; i < len(all); i++ {
		declared, _ := r.Record.Declared.Service(all[i].Name)
		for _, name := range project.Towards(declared) {
			if s := r.Record.Service(name); s != nil && !s.Removed && !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return slices.DeleteFunc(all, func(s *project.Service) bool {
		declared, _ := r.Record.Declared.Service(s.Name)
		return declared.Disabled
	})
}

// beyond are the services of other projects that have to be started, too.
func beyond(r project.Ref, l project.Links) []project.Ref {
	var all []project.Ref
	for _, s := range together(r) {
		declared, _ := r.Record.Declared.Service(s.Name)
		for _, link := range declared.Links {
			if to, there := l.Target(*r.Record, link); there && to.Service.Stopped {
				all = append(all, to)
			}
		}
	}
	return all
}

// enabled refuses a service that is declared as one that does not run.
// Errors: Conflict.
func enabled(r project.Ref) error {
	if r.Service == nil {
		return nil
	}
	declared, _ := r.Record.Declared.Service(r.Service.Name)
	if !declared.Disabled {
		return nil
	}
	return problem.New(problem.Conflict, "%s is declared with status: disabled", r).With("declare it with status: enabled and apply again")
}

// watching is what to follow after a change of ref.
func watching(r project.Ref) watch {
	w := watch{project: r.Record.ID, since: time.Now()}
	if r.Service != nil {
		w.services = []spec.ServiceID{r.Service.ID}
	}
	return w
}

// Stop stops services until somebody starts them again.
// Errors: NotFound, Conflict.
func (d *Deployer) Stop(ctx context.Context, t api.Target, report func(api.Progress)) error {
	ref, err := d.change(ctx, t, func(ref project.Ref) error { return stop(meant(ref), true) })
	if err != nil {
		return err
	}
	for _, s := range meant(ref) {
		if err := d.gone(ctx, ref, s, func(o service.Observed) bool { return len(o.Live()) == 0 }); err != nil {
			return err
		}
		report(api.Progress{Service: &api.Step{Name: s.Name, State: "stopped"}})
	}
	return nil
}

// stop stops services, or starts them all at once.
func stop(those []*project.Service, stopped bool) error {
	changed, now := false, time.Now().UTC()
	for _, s := range those {
		cur := s.Current()
		rests := cur != nil && cur.Trouble.Resting()
		if s.Stopped == stopped && (stopped || !rests) {
			continue
		}
		changed, s.Stopped = true, stopped
		s.Rollouts = slices.Clone(s.Rollouts)
		if rests && !stopped { // who asks for it does not want to wait
			s.Current().Again(now)
		}
		if t := s.Rollout(s.Target); !stopped && t != nil {
			t.Again(now)
			if t.State == project.Failed {
				t.State = project.Pending
			}
			s.Forgive()
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
	ref, err := d.change(ctx, t, func(ref project.Ref) error {
		if err := enabled(ref); err != nil {
			return err
		}
		for _, s := range meant(ref) {
			cur := s.Rollout(s.Target)
			if cur == nil {
				continue
			}
			next := cur.Anew(time.Now().UTC())
			next.Number = s.Last() + 1
			cur.Overtake()
			s.Target, s.Stopped = next.Number, false
			s.Add(next)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.follow(ctx, watching(ref), report)
}

// Remove takes a service or a project away and waits until it is gone.
// Volumes stay unless they are named to go.
// Errors: NotFound; Conflict, also when a service of another project links to
// it, unless that is forced; Invalid when another service needs it.
func (d *Deployer) Remove(ctx context.Context, t api.Target, how api.Removal) (api.Removed, error) {
	var those []*project.Service
	var cut []string
	ref, err := d.given(ctx, t, func(ref project.Ref) error {
		records, err := d.Records.Projects(ctx)
		if err != nil {
			return err
		}
		if cut = linkedBy(records, ref); len(cut) > 0 && !how.Force {
			return linkedTo(cut, ref)
		}
		those = meant(ref)
		names := map[string]bool{}
		for _, s := range those {
			if user := neededBy(ref, s); user != "" {
				return problem.New(problem.Invalid, "%s needs %s", user, s.Name).With("remove %s first, or the whole project with: havre rm %s/", user, ref.Record.Name)
			}
			s.Removed, names[s.Name] = true, true
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
	done, err := d.gathered(ctx, ref, those)
	if err != nil {
		return done, err
	}
	done.Cut = cut
	return d.cleared(ctx, ref, how.Volumes, done)
}

// gathered waits until services are gone.
func (d *Deployer) gathered(ctx context.Context, ref project.Ref, those []*project.Service) (api.Removed, error) {
	var done api.Removed
	for _, s := range those {
		if err := d.gone(ctx, ref, s, func(service.Observed) bool { return false }); err != nil {
			return done, err
		}
		done.Gone = append(done.Gone, "service "+s.Name)
	}
	return done, nil
}

func neededBy(ref project.Ref, s *project.Service) string {
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

// cleared removes or keeps the volumes of what was removed.
func (d *Deployer) cleared(ctx context.Context, ref project.Ref, volumes bool, done api.Removed) (api.Removed, error) {
	full := ref.String()
	var mounted []string
	if ref.Service != nil && ref.Service.Current() != nil {
		mounted = volumesOf(ref.Service.Current().Spec)
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

// netGone is how long whoever removes a project waits for its network. Some
// engines keep one for good; the loop goes on trying.
const netGone = 30 * time.Second

// forget waits until the network is gone, then drops the record, unless the
// project was applied again meanwhile. Where the network stays, so does the
// record, as one of a removed project.
func (d *Deployer) forget(ctx context.Context, r *project.Record) error {
	ctx, cancel := context.WithTimeout(ctx, netGone)
	defer cancel()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for slices.ContainsFunc(d.Loop.View().Snapshot.Networks, func(n service.Network) bool { return n.Project == r.ID }) {
		if _, err := d.record(ctx, r.ID); err == nil {
			return nil // it is wanted again
		}
		d.Loop.Poke()
		select {
		case <-ctx.Done():
			return nil // the loop finishes the rest
		case <-tick.C:
		}
	}
	d.Addresses.Lock()
	defer d.Addresses.Unlock()
	records, err := d.Records.Projects(ctx)
	if err != nil || !slices.ContainsFunc(records, func(now project.Record) bool { return now.ID == r.ID && now.Removed }) {
		return err
	}
	return d.Records.ForgetProject(ctx, r.ID)
}

func usedBy(r *project.Record, volume string) bool {
	return slices.ContainsFunc(r.Present(), func(s *project.Service) bool {
		cur := s.Current()
		return cur != nil && slices.Contains(volumesOf(cur.Spec), volume)
	})
}
