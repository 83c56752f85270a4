package deploy

import (
	"cmp"
	"context"
	"slices"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// RenewSecret has the services that mount a secret of an environment run with
// its present value, each by a switch, and reports until they do.
// Errors: NotFound; Failed when one does not get healthy.
func (d *Deployer) RenewSecret(ctx context.Context, environment, name string, report func(api.Progress)) error {
	at, err := d.secretNamed(ctx, cmp.Or(environment, spec.DefaultEnvironment), name)
	if err != nil {
		return err
	}
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return err
	}
	var wrong problem.List
	for _, r := range records {
		if r.Environment != at.Environment || r.Removed {
			continue
		}
		err := d.renew(ctx, api.Target{Name: r.Name, Environment: r.Environment, Project: true}, at, report)
		if err != nil {
			for _, p := range api.Flat(err) {
				wrong = append(wrong, &p)
			}
		}
	}
	return wrong.AsError()
}

// renew is RenewSecret for one project.
func (d *Deployer) renew(ctx context.Context, t api.Target, at project.Secret, report func(api.Progress)) error {
	var plan api.Plan
	since := time.Now()
	ref, err := d.change(ctx, t, func(ref project.Ref) error {
		plan = renewed(ref.Record, at, time.Now().UTC())
		if len(plan.Changes) == 0 {
			return errSkip
		}
		return nil
	})
	if problem.KindOf(err) == problem.NotFound { // it was removed since it was listed
		return nil
	}
	if err != nil || len(plan.Changes) == 0 {
		return err
	}
	report(api.Progress{Plan: &plan})
	if err := d.follow(ctx, watch{project: ref.Record.ID, since: since}, report); err != nil {
		return err
	}
	return d.arrived(ctx, ref.Record.ID, plan)
}

// renewed gives each service that mounts another value of a secret a rollout
// with the present one.
func renewed(r *project.Record, at project.Secret, now time.Time) api.Plan {
	plan := api.Plan{Environment: r.Environment, Project: r.Name}
	for i := range r.Services {
		s := &r.Services[i]
		target := s.Rollout(s.Target)
		_, behind := mountsSecret(s, at)
		if s.Removed || target == nil || !behind {
			continue
		}
		next := target.Anew(now)
		next.Secrets = slices.Clone(target.Secrets)
		for j := range next.Secrets {
			if m := &next.Secrets[j]; m.External == at.Name {
				m.Version = at.Version
			}
		}
		next.Digest = service.Digest(next.Spec, next.Image.ID, next.Files, next.Secrets)
		c := take(r, s.Name, next, false)
		c.Volumes = nil // they are there already
		plan.Changes, plan.Notes = append(plan.Changes, c), append(plan.Notes, sharing(c, next.Spec)...)
	}
	return plan
}
