package servertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/server"
	"havre/internal/spec"
)

// rollout is one that was made.
type rollout struct {
	api.Rollout
	spec spec.Service
}

// record notes a change of k as its newest rollout.
func (k *kept) record(c api.Change, now time.Time) {
	if n := len(k.rollouts); n > 0 && k.rollouts[n-1].Number == c.Rollout {
		k.rollouts[n-1].spec = k.spec
		return
	}
	k.rollouts = append(k.rollouts, rollout{api.Rollout{
		Number: c.Rollout, State: "pending", Image: k.spec.Image, ImageID: fmt.Sprintf("sha256:%064x", len(k.spec.Image)+c.Rollout),
		Replicas: k.spec.Replicas, Changes: c.Why, Created: now,
	}, k.spec})
}

// fared notes how the newest rollout of k fared.
func (k *kept) fared(state string, t trouble) {
	for i := range k.rollouts {
		r := &k.rollouts[i]
		switch {
		case i == len(k.rollouts)-1:
			r.State, r.Reason, r.Lines = state, t.says, t.lines
		case r.State == "active" && state == "active":
			r.State = "retired"
		}
	}
}

func (k *kept) at(n int) (rollout, error) {
	i := slices.IndexFunc(k.rollouts, func(r rollout) bool { return r.Number == n })
	if i < 0 {
		return rollout{}, problem.New(problem.NotFound, "%s has no rollout r%d that is remembered", k.spec.Name, n).With("list them with: havre history %s", k.full())
	}
	return k.rollouts[i], nil
}

// History gives what was applied.
func (f *Fake) History(_ context.Context, t api.Target) ([]api.Rollout, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.one(t)
	if err != nil {
		return nil, err
	}
	var all []api.Rollout
	for _, r := range slices.Backward(k.rollouts) {
		all = append(all, r.Rollout)
	}
	return all, nil
}

// Diff compares image and variables.
func (f *Fake) Diff(_ context.Context, t api.Target, o api.DiffOptions) (d api.Diff, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := f.one(t)
	if err != nil {
		return d, err
	}
	if o.To == 0 {
		o.To = k.rollout
	}
	if o.From == 0 {
		o.From = o.To - 1
	}
	a, err := k.at(o.From)
	if err != nil {
		return d, err
	}
	b, err := k.at(o.To)
	if err != nil {
		return d, err
	}
	d = api.Diff{Service: k.full(), From: o.From, To: o.To}
	if a.Image != b.Image {
		d.Fields = append(d.Fields, api.Difference{Field: "image", Old: &a.Image, New: &b.Image})
	}
	for name, value := range b.spec.Environment {
		before, there := a.spec.Environment[name]
		if there && before == value {
			continue
		}
		field := api.Difference{Field: "environment." + name, New: &value}
		if there {
			field.Old = &before
		}
		d.Fields = append(d.Fields, field)
	}
	slices.SortFunc(d.Fields, func(a, b api.Difference) int { return strings.Compare(a.Field, b.Field) })
	return d, nil
}

// Rollback applies a former rollout's declaration again.
func (f *Fake) Rollback(ctx context.Context, t api.Target, to int, report server.Report) error {
	f.mu.Lock()
	k, err := f.one(t)
	var goal rollout
	switch {
	case err != nil:
	case to > 0:
		goal, err = k.at(to)
	default:
		err = problem.New(problem.Conflict, "%s never ran otherwise, as far as is remembered", k.full()).With("name a rollout to go back to: havre history %s", k.full())
		for _, r := range k.rollouts {
			if r.State == "retired" {
				goal, err = r, nil
			}
		}
	}
	if err != nil {
		f.mu.Unlock()
		return err
	}
	c := api.Change{Verb: "update", Service: k.spec.Name, Rollout: k.rollout + 1, Why: []string{fmt.Sprintf("back to r%d", goal.Number)}}
	k.spec, k.rollout = goal.spec, c.Rollout
	k.record(c, f.now())
	last := &k.rollouts[len(k.rollouts)-1]
	last.Back, last.Changes = goal.Number, nil
	f.mu.Unlock()
	report(api.Progress{Plan: &api.Plan{Environment: k.env, Project: k.project, Changes: []api.Change{c}}})
	return f.start(ctx, k, report)
}

// Scale changes a number.
func (f *Fake) Scale(ctx context.Context, t api.Target, to api.Scale, report server.Report) error {
	replicas := to.Replicas
	if replicas > 64 {
		return &problem.Problem{Kind: problem.Denied, Rule: "amount", Says: "a service may have 0 to 64 containers", Remedy: "ask for less"}
	}
	f.mu.Lock()
	k, err := f.one(t)
	if err != nil {
		f.mu.Unlock()
		return err
	}
	c := api.Change{Verb: "scale", Service: k.spec.Name, Rollout: k.rollout, Why: []string{fmt.Sprintf("replicas %d -> %d", k.spec.Replicas, replicas)}}
	p := api.Plan{Environment: k.env, Project: k.project, Changes: []api.Change{c}}
	want := k.spec
	want.Replicas, want.Shared = replicas, want.Shared || to.Shared
	if p := want.Crowds(); p != nil {
		f.mu.Unlock()
		return p
	}
	if replicas > 1 && want.WritesData() {
		p.Notes = append(p.Notes, *problem.New(problem.Invalid, "the %d containers of %s share its volumes", replicas, k.spec.Name))
	}
	k.spec = want
	f.mu.Unlock()
	report(api.Progress{Plan: &p})
	return f.start(ctx, k, report)
}
