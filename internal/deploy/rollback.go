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
	"havre/internal/spec"
)

// Rollback makes a service run like one of its former rollouts, and reports
// until it does: like rollout `to`, or like what served before when to is 0.
// While an update is on its way that is the rollout that still serves. The
// declaration becomes that rollout's.
// Errors: NotFound; Conflict when its image, a port or a domain of it is gone;
// Failed when it does not get healthy.
func (d *Deployer) Rollback(ctx context.Context, t api.Target, to int, report func(api.Progress)) error {
	var plan api.Plan
	ref, err := d.given(ctx, t, func(ref project.Ref) (err error) {
		plan, err = d.back(ctx, ref, to)
		return err
	})
	if err != nil {
		return err
	}
	report(api.Progress{Plan: &plan})
	if err := d.follow(ctx, watching(ref), report); err != nil {
		return err
	}
	return d.arrived(ctx, ref.Record.ID, plan)
}

// arrived tells whether what was planned is what came, and not what somebody
// else asked for meanwhile.
// Errors: Failed.
func (d *Deployer) arrived(ctx context.Context, id spec.ProjectID, p api.Plan) error {
	r, err := d.record(ctx, id)
	if err != nil {
		return err
	}
	var wrong problem.List
	for _, c := range p.Changes {
		s := r.Service(c.Service)
		if s == nil || s.Removed {
			continue
		}
		if ro := s.Rollout(c.Rollout); ro != nil && ro.Overtaken() {
			wrong = append(wrong, problem.New(problem.Failed, "r%d of %s was given up: somebody asked for another one meanwhile", c.Rollout, project.Ref{Record: &r, Service: s}).
				With("see: havre history %s", project.Ref{Record: &r, Service: s}))
		}
	}
	return wrong.AsError()
}

// given is change for what gives a service ports or names: one at a time.
func (d *Deployer) given(ctx context.Context, t api.Target, do func(project.Ref) error) (project.Ref, error) {
	d.Addresses.Lock()
	defer d.Addresses.Unlock()
	return d.change(ctx, t, do)
}

// back changes the record.
func (d *Deployer) back(ctx context.Context, ref project.Ref, to int) (api.Plan, error) {
	r, s := ref.Record, ref.Service
	plan := api.Plan{Environment: r.Environment, Project: r.Name}
	former, err := goal(ref, to)
	if err != nil {
		return plan, err
	}
	next := former.Anew(time.Now().UTC())
	next.Number = former.Number
	if err := redeclare(r, next); err != nil {
		return plan, err
	}
	s.Stopped = false
	if next.Number == s.Active { // an update is on its way, and is called off
		s.Rollout(s.Target).Overtake()
		why := fmt.Sprintf("r%d is called off", s.Target)
		s.Target = s.Active
		s.Rollout(s.Active).Again(time.Now().UTC())
		s.Forgive()
		plan.Changes = []api.Change{{Verb: "update", Service: s.Name, Rollout: s.Active, Why: []string{why}, Ports: project.PortWords(next.Spec)}}
		return plan, nil
	}
	if err := d.stillThere(ctx, ref, next); err != nil {
		return plan, err
	}
	next.Back = former.Number
	c := take(r, s.Name, next, false)
	c.Volumes = nil // they are there already
	c.Why = append([]string{fmt.Sprintf("back to r%d", former.Number)}, c.Why...)
	plan.Changes, plan.Notes = []api.Change{c}, sharing(c, next.Spec)
	return plan, nil
}

// goal is the rollout to go back to.
// Errors: NotFound; Conflict when there is none to go back to.
func goal(ref project.Ref, to int) (*project.Rollout, error) {
	s := ref.Service
	coming := s.Rollout(s.Target)
	calledOff := s.Active != 0 && s.Active != s.Target && s.Rollout(s.Active) != nil
	switch {
	case to == 0 && calledOff:
		return s.Rollout(s.Active), nil
	case to == 0:
		return before(ref)
	case to == s.Target && coming != nil && coming.State == project.Pending:
		return nil, problem.New(problem.Conflict, "r%d of %s is on its way already", to, ref).With("look at it with: havre ps %s", ref)
	case to == s.Active && !calledOff:
		return nil, problem.New(problem.Conflict, "r%d of %s is the one that serves", to, ref).With("choose another one: havre history %s", ref)
	}
	return remembered(s, to)
}

// before is the newest rollout that served before the present one and ran
// otherwise: a restart is nothing to go back to.
func before(ref project.Ref) (*project.Rollout, error) {
	s := ref.Service
	now := s.Current()
	for i := range slices.Backward(s.Rollouts) {
		if ro := &s.Rollouts[i]; now != nil && ro.Number < now.Number && ro.Served() && ro.Digest != now.Digest {
			return ro, nil
		}
	}
	return nil, problem.New(problem.Conflict, "%s never ran otherwise, as far as is remembered", ref).With("name a rollout to go back to: havre history %s", ref)
}

// redeclare puts a rollout's declaration in the place of its service's.
// Errors: Conflict where it does not fit to the rest of the project any more.
func redeclare(r *project.Record, ro project.Rollout) error {
	declared := ro.Spec
	if ro.Declared != nil {
		declared = *ro.Declared
	}
	p := r.Declared.Clone()
	p.Services = slices.DeleteFunc(p.Services, func(s spec.Service) bool { return s.Name == declared.Name })
	for _, f := range ro.Files {
		i := slices.IndexFunc(p.Files, func(o spec.File) bool { return o.Name == f.Name })
		switch {
		case i < 0:
			p.Files = append(p.Files, f)
		case !mounts(p, spec.Config, f.Name): // another service goes on with its own
			p.Files[i] = f
		}
	}
	reinstate(&p, ro.Secrets)
	p.Services = append(p.Services, declared)
	slices.SortFunc(p.Services, func(a, b spec.Service) int { return strings.Compare(a.Name, b.Name) })
	var wrong problem.List
	for _, m := range spec.Validate(p) {
		wrong = append(wrong, problem.New(problem.Conflict, "r%d does not fit to the project any more: %s", ro.Number, m.Problem.Says).With("apply a file that says what you want"))
	}
	if len(wrong) > 0 {
		return wrong
	}
	r.Declared = p
	return nil
}

// mounts tells whether a service of p mounts a file or a secret.
func mounts(p spec.Project, kind spec.MountKind, name string) bool {
	return slices.ContainsFunc(p.Services, func(s spec.Service) bool {
		return slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return m.Kind == kind && m.Source == name })
	})
}

// stillThere finds what a former rollout had and cannot have again.
// Errors: problem.List of Conflict problems.
func (d *Deployer) stillThere(ctx context.Context, ref project.Ref, ro project.Rollout) error {
	var wrong problem.List
	if ro.Image.ID == "" {
		return problem.New(problem.Conflict, "that rollout never had its image, %s", ro.Spec.Image).With("choose another one: havre history %s", ref)
	}
	_, err := d.Images.Image(ctx, ref.Record.Environment, ro.Image.ID)
	switch {
	case problem.KindOf(err) == problem.NotFound:
		wrong = append(wrong, problem.New(problem.Conflict, "the image of r%d, %s (%.19s), is gone", ro.Number, ro.Spec.Image, ro.Image.ID).
			With("build or load it again, and apply a file that names it"))
	case err != nil:
		return err
	}
	wrong = append(wrong, d.lost(ctx, ref.Record, ro)...)
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return err
	}
	for _, l := range ro.Spec.Links {
		if _, _, outside := l.Outside(); outside {
			if _, err := elsewhere(records, ref.Record.Environment, ref.Service.Name, l); err != nil {
				wrong = append(wrong, problem.New(problem.Conflict, "r%d links to %s, which is gone", ro.Number, l.To).With("apply a file without the link"))
			}
		}
	}
	mine := project.Ports([]project.Record{{Services: []project.Service{*ref.Service}}}, "-")
	others, suffix := besides(records, ref), d.Loop.Outside().Suffix
	ports := project.Ports(others, "")
	for _, p := range ro.Spec.Ports {
		port := project.Port{Number: p.External, Protocol: p.Protocol}
		who, taken := ports[port]
		if _, has := mine[port]; !taken && !has {
			who, taken = d.Machine.Holder(ctx, port)
		}
		if taken {
			wrong = append(wrong, problem.New(problem.Conflict, "port %d/%s, which r%d had, is taken by %s", p.External, p.Protocol, ro.Number, who).
				With("free it, or apply a file with another port"))
		}
	}
	return append(wrong, project.LostHosts(ref, ro, others, suffix)...).AsError()
}

// besides gives the records without one service.
func besides(records []project.Record, ref project.Ref) []project.Record {
	others := slices.Clone(records)
	for i := range others {
		if others[i].ID == ref.Record.ID {
			others[i].Services = slices.DeleteFunc(slices.Clone(others[i].Services), func(s project.Service) bool { return s.ID == ref.Service.ID })
		}
	}
	return others
}
