package project

import (
	"context"
	"fmt"

	"havre/internal/api"
	"havre/internal/problem"
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

// coming says of which images the plan does not know yet what they will be.
func coming(p *api.Plan, images []string) {
	for _, i := range images {
		p.Notes = append(p.Notes, *problem.New(problem.NotFound, "image %s is pulled from its registry first", i))
	}
}

// fetch pulls what a declaration needs, one image after the other. Nothing is
// recorded or stopped before all of it is here.
// Errors: problem.List of all images that cannot be had; Unavailable when a
// disk is nearly full.
func (d *Deployer) fetch(ctx context.Context, want api.Apply, report func(api.Progress)) error {
	var wrong problem.List
	seen := map[string]bool{}
	for _, s := range want.Project.Services {
		if seen[s.Image] {
			continue
		}
		_, err := d.Images.Image(ctx, want.Environment, s.Image)
		if err != nil && problem.KindOf(err) != problem.NotFound {
			return err
		}
		if !d.due(s, err == nil) {
			continue
		}
		seen[s.Image] = true
		if err := d.room(); err != nil {
			return err
		}
		report(api.Progress{Line: "pulling image " + s.Image})
		if _, err := d.Registry.PullImage(ctx, want.Environment, s.Image, func(line string) { report(api.Progress{Line: line}) }); err != nil {
			wrong = append(wrong, problem.Of(fmt.Errorf("service %s: %w", s.Name, err)))
			continue
		}
	}
	return wrong.AsError()
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
