package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// Registry is where images come from that an environment lacks.
type Registry interface {
	// Errors: Failed with the reason and what to do about it.
	PullImage(ctx context.Context, environment, name string, progress func(line string)) (service.Image, error)
}

// due tells whether a service's image is to be pulled; image is the
// environment's own, if it has one.
func (d *Deployer) due(s spec.Service, there bool) bool {
	switch {
	case d.Registry == nil || s.Pull == spec.PullNever:
		return false
	case s.Pull == spec.PullAlways:
		return true
	}
	return !there
}

// coming says of which images the plan does not know yet what they will be,
// and which stay what they are against the declaration.
func (d *Deployer) coming(p *api.Plan, images []string, want spec.Project) {
	for _, i := range images {
		p.Notes = append(p.Notes, *problem.New(problem.NotFound, "image %s is pulled from its registry first", i))
	}
	if d.Registry != nil {
		return
	}
	for _, s := range want.Services {
		if s.Pull == spec.PullAlways {
			p.Notes = append(p.Notes, *problem.New(problem.Denied, "image %s is not asked for at its registry, though it always should be: the server's configuration says offline", s.Image))
		}
	}
}

// fetch pulls what a declaration needs, one image after the other. Nothing is
// stopped before all of it is here. What went wrong is remembered.
// Errors: problem.List of all images that cannot be had; Unavailable when a
// disk is nearly full.
func (d *Deployer) fetch(ctx context.Context, want api.Apply, report func(api.Progress)) error {
	var wrong problem.List
	asked := map[string]error{}
	vain := map[string]string{}
	for _, s := range want.Project.Services {
		err, again := asked[s.Image]
		if !again {
			var due bool
			if due, err = d.missing(ctx, want.Environment, s); err != nil {
				return err
			}
			if !due {
				continue
			}
			report(api.Progress{Line: "pulling image " + s.Image})
			_, err = d.Registry.PullImage(ctx, want.Environment, s.Image, func(line string) { report(api.Progress{Line: line}) })
			asked[s.Image] = err
		}
		if err != nil {
			vain[s.Name] = problem.Of(err).Says
			if !again {
				wrong = append(wrong, problem.Of(fmt.Errorf("service %s: %w", s.Name, err)))
			}
		}
	}
	if len(wrong) == 0 || ctx.Err() != nil { // whoever stops it knows why
		return wrong.AsError()
	}
	if err := d.note(ctx, want, vain); err != nil {
		wrong = append(wrong, problem.Of(fmt.Errorf("remember that: %w", err)))
	}
	return wrong
}

// note remembers which rollout services did not get, and why; of those that
// are not there yet, too.
func (d *Deployer) note(ctx context.Context, want api.Apply, vain map[string]string) error {
	d.Addresses.Lock() // a project that is new is given a network
	defer d.Addresses.Unlock()
	for try := 0; ; try++ {
		records, err := d.Records.Projects(ctx)
		if err != nil {
			return err
		}
		r, err := d.former(records, want)
		if err != nil {
			return err
		}
		miss(&r, want.Project, vain, time.Now().UTC())
		err = d.Records.SaveProject(ctx, r)
		if problem.KindOf(err) == problem.Busy && try < tries {
			continue
		}
		d.Loop.Poke() // there is something to tell
		return err
	}
}

// miss adds rollouts that failed before they began. What serves, and what is
// on its way, goes on. A service that is new has nothing that should serve.
func miss(r *project.Record, want spec.Project, vain map[string]string, now time.Time) {
	if r.Services = slices.Clone(r.Services); r.Removed {
		r.Removed, r.Declared = false, spec.Project{Name: r.Name}
	}
	for _, declared := range want.Services {
		reason, wanted := vain[declared.Name]
		if !wanted {
			continue
		}
		s := r.Service(declared.Name)
		switch {
		case s == nil:
			r.Services = append(r.Services, project.Service{ID: spec.ServiceID(project.NewID()), Name: declared.Name})
			s = &r.Services[len(r.Services)-1]
		case s.Removed:
			s.Removed, s.Stopped, s.Active, s.Target = false, false, 0, 0
		}
		next := project.Rollout{Number: s.Last() + 1, State: project.Failed, Reason: reason, Declared: &declared, Created: now}
		if had := s.Rollout(s.Target); had != nil { // without its image nobody knows how it would have run
			next.Spec = had.Spec
		}
		next.Spec.Name, next.Spec.Image = declared.Name, declared.Image
		if s.Target != s.Active { // how that one ends is not for this one to say
			next.State = project.Retired
		}
		s.Rollouts = slices.Clone(s.Rollouts)
		s.Add(next)
	}
	slices.SortFunc(r.Services, func(a, b project.Service) int { return strings.Compare(a.Name, b.Name) })
}

// missing tells whether the image of a service is to be pulled, and can be kept.
func (d *Deployer) missing(ctx context.Context, environment string, s spec.Service) (bool, error) {
	_, err := d.Images.Image(ctx, environment, s.Image)
	if err != nil && problem.KindOf(err) != problem.NotFound {
		return false, err
	}
	if !d.due(s, err == nil) {
		return false, nil
	}
	return true, d.room()
}

// lacks is the error of an image that is not there and is not pulled.
func (d *Deployer) lacks(s spec.Service, err error) *problem.Problem {
	p := *problem.Of(fmt.Errorf("service %s: %w", s.Name, err))
	switch {
	case s.Pull == spec.PullNever:
		p.Says += ", and it is declared never to be pulled"
	case d.Registry == nil && d.Offline:
		p.Says += ", and nothing is pulled: the server's configuration says offline"
	}
	return &p
}
