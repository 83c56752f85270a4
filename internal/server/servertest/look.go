package servertest

import (
	"context"
	"fmt"

	"havre/internal/api"
	"havre/internal/problem"
)

// List gives the services.
func (f *Fake) List(_ context.Context, environment, project string) ([]api.Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []api.Service
	for _, k := range f.kept {
		if (environment == "" || environment == k.env) && (project == "" || project == k.project) {
			list = append(list, f.shown(k))
		}
	}
	if len(list) == 0 && project != "" {
		return nil, problem.New(problem.NotFound, "no project is named %s", project).With("list them with: havre ps")
	}
	return list, nil
}

// Find gives one service.
func (f *Fake) Find(_ context.Context, t api.Target) (api.Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.one(t)
	if err != nil {
		return api.Service{}, err
	}
	return f.shown(k), nil
}

func (f *Fake) shown(k *kept) api.Service {
	s := api.Service{
		Name: k.spec.Name, Project: k.project, Environment: k.env, State: k.state, Image: k.spec.Image,
		Rollout: k.rollout, Replicas: k.spec.Replicas, Ports: portsOf(k.spec), Since: k.since,
	}
	if k.state == "failing" {
		s.Says = f.trouble[k.spec.Name].says
	}
	if k.state == "healthy" {
		s.Healthy = k.spec.Replicas
	}
	for i := range s.Healthy {
		s.Tasks = append(s.Tasks, api.Task{Container: fmt.Sprintf("%064x", i+1), Slot: i + 1, State: "running", Health: "healthy", Since: k.since})
	}
	return s
}

// Declared gives a project's services as they were applied last.
func (f *Fake) Declared(_ context.Context, t api.Target) (api.Declared, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := api.Declared{}
	for _, k := range f.kept {
		if k.project == t.Name && (t.Environment == "" || t.Environment == k.env) {
			d.Environment, d.ID, d.Project.Name = k.env, "abcdefgh", k.project
			d.Project.Services = append(d.Project.Services, k.spec)
		}
	}
	if d.Environment == "" {
		return d, problem.New(problem.NotFound, "no project is named %s", t.Name).With("list them with: havre ps")
	}
	return d, nil
}

// Why explains a state.
func (f *Fake) Why(_ context.Context, t api.Target) (api.Why, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.one(t)
	if err != nil {
		return api.Why{}, err
	}
	why := api.Why{Service: k.full(), State: k.state, Says: k.full() + " is " + k.state}
	switch k.state {
	case "failing":
		bad := f.trouble[k.spec.Name]
		why.Says, why.Lines, why.Remedy = k.full()+" fails: "+bad.says, bad.lines, "mend it and apply again"
	case "stopped":
		why.Remedy = "havre start " + k.full()
	}
	return why, nil
}

// Logs gives what Print was told, and goes on with it when asked.
func (f *Fake) Logs(ctx context.Context, t api.Target, o api.LogOptions, yield func(api.Line) error) error {
	f.mu.Lock()
	found, err := f.find(t)
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if o.Rollout != 0 {
		if t.Project {
			return problem.New(problem.Invalid, "%s is a whole project, and a rollout belongs to one service", t.Name).With("name one service")
		}
		if _, err := found[0].at(o.Rollout); err != nil || o.Rollout != found[0].rollout {
			return err // of others nothing is kept here
		}
	}
	seen := map[string]int{}
	for first := true; ; first = false {
		for _, k := range found {
			name := k.spec.Name
			f.mu.Lock()
			fresh := f.lines[name][seen[name]:]
			seen[name] = len(f.lines[name])
			f.mu.Unlock()
			if first {
				fresh = chosen(fresh, o)
			}
			for _, l := range fresh {
				if err := yield(l); err != nil {
					return err
				}
			}
		}
		if !o.Follow {
			return nil
		}
		more := func() bool {
			for _, k := range found {
				if len(f.lines[k.spec.Name]) > seen[k.spec.Name] {
					return true
				}
			}
			return false
		}
		if err := f.until(ctx, more); err != nil {
			return err
		}
	}
}

func chosen(lines []api.Line, o api.LogOptions) []api.Line {
	var some []api.Line
	for _, l := range lines {
		if !l.Time.Before(o.Since) {
			some = append(some, l)
		}
	}
	if o.Tail > 0 && len(some) > o.Tail {
		some = some[len(some)-o.Tail:]
	}
	return some
}
