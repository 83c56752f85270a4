package servertest

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/server"
	"havre/internal/spec"
)

// Plan compares with what was applied before.
func (f *Fake) Plan(_ context.Context, want api.Apply) (api.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plan(want)
}

func (f *Fake) plan(want api.Apply) (api.Plan, error) {
	p := api.Plan{Environment: want.Environment, Project: want.Project.Name}
	if f.bounds != "" {
		return p, &problem.Problem{Kind: problem.Denied, Says: f.bounds, Rule: "fake-rule", Remedy: "ask for less"}
	}
	if f.ill != "" {
		return p, problem.New(problem.Unavailable, "the engine does not answer: %s", f.ill).With("look at: havre status")
	}
	if err := f.missing(want); err != nil {
		return p, err
	}
	order, _ := spec.StartOrder(want.Project)
	for _, name := range order {
		s, _ := want.Project.Service(name)
		p.Changes = append(p.Changes, f.change(want, s))
	}
	for _, fill := range want.Fills {
		if !f.volumes[want.Environment+"."+want.Project.Name+"."+fill.Volume] {
			p.Fills = append(p.Fills, fill)
		}
	}
	for _, k := range f.kept {
		if _, wanted := want.Project.Service(k.spec.Name); !wanted && k.env == want.Environment && k.project == want.Project.Name {
			p.Changes = append(p.Changes, api.Change{Verb: "remove", Service: k.spec.Name})
		}
	}
	return p, nil
}

func (f *Fake) missing(want api.Apply) error {
	var wrong problem.List
	for _, s := range want.Project.Services {
		if f.image(want.Environment, s.Image) < 0 {
			wrong = append(wrong, problem.New(problem.NotFound, "service %s: no image %s in %s", s.Name, s.Image, want.Environment).
				With("make it with havre image build, or list them with: havre image ls"))
		}
		_, gone := f.mounted(want, s)
		wrong = append(wrong, gone...)
	}
	return wrong.AsError()
}

func (f *Fake) change(want api.Apply, s spec.Service) api.Change {
	c := api.Change{Verb: "create", Service: s.Name, Rollout: 1, Ports: portsOf(s), Stops: false}
	for _, m := range s.Mounts {
		if m.Kind == spec.Volume && !f.volumes[want.Environment+"."+want.Project.Name+"."+m.Source] {
			c.Volumes = append(c.Volumes, m.Source)
		}
	}
	i := f.index(want, s.Name)
	if i < 0 {
		return c
	}
	had := f.kept[i]
	c.Rollout, c.Stops = had.rollout+1, s.Excludes(s)
	switch {
	case s.WritesData():
		c.Because = "both write to a volume"
	case c.Stops:
		c.Because = "update_config.order says so"
	}
	secrets, _ := f.mounted(want, s)
	for name, version := range secrets {
		if before, there := had.secrets[name]; there && before != version {
			c.Verb, c.Why = "update", append(c.Why, "secret "+name[strings.LastIndex(name, "/")+1:]+" changed")
		}
	}
	switch {
	case len(c.Why) > 0:
	case reflect.DeepEqual(had.spec, s):
		return api.Change{Verb: "keep", Service: s.Name, Rollout: had.rollout}
	case had.spec.Image != s.Image:
		c.Verb, c.Why = "update", []string{"image: " + had.spec.Image + " -> " + s.Image}
	case !reflect.DeepEqual(had.spec.Ports, s.Ports):
		c.Verb, c.Why, c.Rollout, c.Stops = "route", []string{"ports"}, had.rollout, false
	default:
		c.Verb, c.Why = "update", []string{"declaration"}
	}
	return c
}

func (f *Fake) index(want api.Apply, service string) int {
	return slices.IndexFunc(f.kept, func(k *kept) bool {
		return k.env == want.Environment && k.project == want.Project.Name && k.spec.Name == service
	})
}

// Apply carries the plan out, service after service.
func (f *Fake) Apply(ctx context.Context, want api.Apply, report server.Report) error {
	f.mu.Lock()
	p, err := f.plan(want)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	report(api.Progress{Plan: &p})
	var wrong problem.List
	for _, c := range p.Changes {
		if err := f.carryOut(ctx, want, c, report); err != nil {
			wrong = append(wrong, problem.Of(err))
		}
	}
	for _, w := range wrong {
		t, _ := f.bad(w.Where.File)
		for _, l := range t.lines {
			report(api.Progress{Line: w.Where.File + " | " + l})
		}
	}
	return wrong.AsError()
}

func (f *Fake) carryOut(ctx context.Context, want api.Apply, c api.Change, report server.Report) error {
	s, _ := want.Project.Service(c.Service)
	if c.Verb == "remove" {
		f.set(func() { f.kept = slices.Delete(f.kept, f.index(want, c.Service), f.index(want, c.Service)+1) })
		report(step(c.Service, "removed", ""))
		return nil
	}
	if c.Verb == "keep" {
		report(step(c.Service, "kept", ""))
		return nil
	}
	k := &kept{env: want.Environment, project: want.Project.Name}
	f.set(func() {
		if i := f.index(want, c.Service); i >= 0 {
			k = f.kept[i]
		} else {
			f.kept = append(f.kept, k)
		}
		k.spec, k.rollout = s, c.Rollout
		k.secrets, _ = f.mounted(want, s)
		k.record(c, f.now())
		for _, m := range s.Mounts {
			if m.Kind == spec.Volume {
				f.volumes[k.env+"."+k.project+"."+m.Source] = true
			}
		}
		slices.SortFunc(f.kept, func(a, b *kept) int { return strings.Compare(a.full(), b.full()) })
	})
	return f.start(ctx, k, report)
}

func step(name, state, says string) api.Progress {
	return api.Progress{Service: &api.Step{Name: name, State: state, Says: says}}
}

// start brings k as far as it will get.
func (f *Fake) start(ctx context.Context, k *kept, report server.Report) error {
	name := k.spec.Name
	report(step(name, "starting", ""))
	f.set(func() { k.state, k.since = "starting", f.now(); f.starts[name]++ })
	if err := f.until(ctx, func() bool { return !f.held[name] }); err != nil {
		return err
	}
	t, bad := f.bad(name)
	switch {
	case bad:
		f.set(func() { k.state = "failing"; k.fared("failed", t) })
		report(step(name, "failed", t.says))
		return problem.New(problem.Failed, "%s did not get healthy: %s", k.full(), t.says).
			With("havre why %s", k.full()).At(problem.Place{File: name})
	case k.spec.Replicas == 0:
		f.set(func() { k.state = "idle" })
		report(step(name, "stopped", ""))
	default:
		f.set(func() { k.state = "healthy"; k.fared("active", t) })
		report(step(name, "healthy", ""))
	}
	return nil
}

func (f *Fake) bad(service string) (trouble, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.trouble[service]
	return t, ok
}

// Start starts what t means.
func (f *Fake) Start(ctx context.Context, t api.Target, report server.Report) error {
	return f.eachOf(t, func(k *kept) error { return f.start(ctx, k, report) })
}

// Stop stops what t means.
func (f *Fake) Stop(_ context.Context, t api.Target, report server.Report) error {
	return f.eachOf(t, func(k *kept) error { f.stop(k, report); return nil })
}

func (f *Fake) stop(k *kept, report server.Report) {
	f.set(func() { k.state = "stopped" })
	report(step(k.spec.Name, "stopped", ""))
}

// Restart stops and starts what t means.
func (f *Fake) Restart(ctx context.Context, t api.Target, report server.Report) error {
	return f.eachOf(t, func(k *kept) error { return f.start(ctx, k, report) })
}

// Down stops everything.
func (f *Fake) Down(_ context.Context, report server.Report) error {
	f.mu.Lock()
	all := slices.Clone(f.kept)
	f.mu.Unlock()
	for _, k := range all {
		f.stop(k, report)
	}
	return nil
}

func (f *Fake) eachOf(t api.Target, do func(*kept) error) error {
	f.mu.Lock()
	found, err := f.find(t)
	found = slices.Clone(found)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	for _, k := range found {
		if err := do(k); err != nil {
			return err
		}
	}
	return nil
}

// Remove forgets what t means, and its volumes when asked.
func (f *Fake) Remove(_ context.Context, t api.Target, how api.Removal) (gone api.Removed, err error) {
	f.mu.Lock()
	found, err := f.find(t)
	f.mu.Unlock()
	if err != nil {
		return gone, err
	}
	f.set(func() {
		for _, k := range found {
			f.kept = slices.DeleteFunc(f.kept, func(o *kept) bool { return o == k })
			gone.Gone = append(gone.Gone, "service "+k.full())
			for _, m := range k.spec.Mounts {
				name := k.env + "." + k.project + "." + m.Source
				switch {
				case m.Kind != spec.Volume:
				case how.Volumes:
					delete(f.volumes, name)
					gone.Gone = append(gone.Gone, "volume "+name)
				default:
					gone.Kept = append(gone.Kept, name)
				}
			}
		}
	})
	return gone, nil
}
