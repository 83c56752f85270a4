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

// MostReplicas is how many containers a service may have. The guard's bounds
// say the same (guard.DefaultBounds), and have the last word.
const MostReplicas = 64

// Scale changes the number of a service's containers without a new rollout,
// and reports until that many are healthy, and no more. The declaration says
// so from then on.
// Errors: NotFound; Invalid; Denied past MostReplicas; Failed when one does
// not get healthy.
func (d *Deployer) Scale(ctx context.Context, t api.Target, to api.Scale, report func(api.Progress)) error {
	replicas := to.Replicas
	switch {
	case replicas < 0:
		return problem.New(problem.Invalid, "%d is no number of containers", replicas).With("use 0 to %d", MostReplicas)
	case replicas > MostReplicas:
		return &problem.Problem{Kind: problem.Denied, Rule: "amount", Says: fmt.Sprintf("a service may have 0 to %d containers, and not %d", MostReplicas, replicas), Remedy: "ask for less"}
	}
	var plan api.Plan
	ref, err := d.change(ctx, t, func(ref project.Ref) (err error) {
		plan, err = scale(ref, to, time.Now().UTC())
		return err
	})
	if err != nil {
		return err
	}
	d.Loop.Poke()
	report(api.Progress{Plan: &plan})
	if err := d.follow(ctx, watching(ref), report); err != nil || ref.Service.Stopped {
		return err
	}
	return d.gone(ctx, ref, ref.Service, func(o service.Observed) bool { return len(o.Live()) <= replicas })
}

// scale changes the record: the rollouts in use and the declaration.
// Errors: Conflict when there is nothing to scale; Invalid when several would
// write to the same data.
func scale(r project.Ref, to api.Scale, now time.Time) (api.Plan, error) {
	s, replicas := r.Service, to.Replicas
	plan := api.Plan{Environment: r.Record.Environment, Project: r.Record.Name}
	target := s.Rollout(s.Target)
	if target == nil {
		return plan, problem.New(problem.Conflict, "%s has no rollout yet", r).With("apply its project again")
	}
	if err := enabled(r); err != nil {
		return plan, err
	}
	c := api.Change{Verb: "keep", Service: s.Name, Rollout: s.Target}
	if was := target.Spec.Replicas; was != replicas {
		c.Verb, c.Why = "scale", []string{fmt.Sprintf("replicas %d -> %d", was, replicas)}
	}
	for _, ro := range s.Held() { // when an update fails its predecessor has as many
		ro.Spec.Replicas, ro.Spec.Shared = replicas, ro.Spec.Shared || to.Shared
		if p := ro.Spec.Crowds(); p != nil {
			return plan, p.With("leave it at one container; if its program is made for that: havre scale %s=%d --shared", r, replicas)
		}
		if ro.Declared != nil {
			declared := *ro.Declared
			declared.Replicas, declared.Shared = replicas, ro.Spec.Shared
			ro.Declared = &declared
		}
		if c.Verb == "scale" {
			ro.Again(now)
		}
	}
	s.Forgive()
	r.Record.Declared.Services = slices.Clone(r.Record.Declared.Services)
	for i := range r.Record.Declared.Services {
		if declared := &r.Record.Declared.Services[i]; declared.Name == s.Name {
			declared.Replicas, declared.Shared = replicas, target.Spec.Shared
		}
	}
	plan.Changes, plan.Notes = []api.Change{c}, sharing(c, target.Spec)
	return plan, nil
}

// sharing warns of several containers that write to the same data.
func sharing(c api.Change, s spec.Service) []problem.Problem {
	if c.Verb == "keep" || c.Verb == "route" || s.Replicas < 2 || !s.WritesData() {
		return nil
	}
	p := problem.New(problem.Invalid, "the %d containers of %s share its volumes (%s), and all of them write there", s.Replicas, s.Name, strings.Join(volumesOf(s), ", ")).
		With("back at one, all of them stop before it starts, so that no two write meanwhile")
	return []problem.Problem{*p}
}
