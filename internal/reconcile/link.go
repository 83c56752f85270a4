package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"havre/internal/project"
	"havre/internal/service"
)

// rejoin records new rollouts for services that lack an end of a link.
func (w *work) rejoin(ctx context.Context, r *project.Record) {
	next, changed := project.Rejoin(*r, w.view.Links, w.deserted, time.Now().UTC())
	if !changed {
		return
	}
	w.busy = true
	if err := w.loop.hands.SaveProject(ctx, next); err != nil {
		w.failed("join the links of "+r.Name, err)
		return
	}
	next.Version++
	*r = next
	w.loop.set.Log.Info("new rollouts to join links", "project", r.Name)
}

// deserted tells whether nobody but the target is on the network of a join.
func (w *work) deserted(j project.Join) bool {
	for _, n := range w.view.Snapshot.Links {
		if n.Project != j.Source || n.Target != j.Target {
			continue
		}
		if slices.ContainsFunc(w.view.Snapshot.Services, func(o service.Observed) bool {
			return o.ID != j.Target.Service && slices.Contains(o.Networks, n.ID)
		}) {
			return false
		}
	}
	return true
}

// join makes the networks of a rollout's ends of links.
func (w *work) join(ctx context.Context, joins []project.Join) ([]service.Join, error) {
	var ends []service.Join
	for _, j := range joins {
		wire, there := w.view.Links.Wire(j)
		if !there {
			continue // the other end went since; the next pass sees it
		}
		id, err := w.wire(ctx, wire)
		if err != nil {
			return nil, fmt.Errorf("make the network of a link: %w", err)
		}
		ends = append(ends, service.Join{Network: id, Aliases: j.Aliases})
	}
	return ends, nil
}

// wire gives the id of a link network, and makes it if there is none.
func (w *work) wire(ctx context.Context, want project.Wire) (string, error) {
	for _, n := range w.view.Snapshot.Links {
		if n.Project == want.Source && n.Target == want.Target {
			return n.ID, nil
		}
	}
	n, err := w.fence(ctx, service.Network{Environment: want.Environment, Project: want.Source, Target: want.Target, Subnet: want.Subnet}, func(subnet string) error {
		i := slices.IndexFunc(w.records, func(r project.Record) bool { return r.ID == want.Source })
		r := &w.records[i] // a wire has a source
		r.Links = slices.Clone(r.Links)
		for j := range r.Links {
			if r.Links[j].Subnet == want.Subnet {
				r.Links[j].Subnet = subnet
			}
		}
		want.Subnet = subnet
		return w.keep(ctx, r)
	})
	if err != nil {
		return "", err
	}
	w.view.Snapshot.Links = append(slices.Clone(w.view.Snapshot.Links), n)
	return n.ID, nil
}

// unlink removes networks of links that no service has an end of any more.
func (w *work) unlink(ctx context.Context, records []project.Record) {
	wanted := func(n service.Network) bool {
		return slices.ContainsFunc(records, func(r project.Record) bool {
			return slices.ContainsFunc(r.Present(), func(s *project.Service) bool {
				return w.view.Links.Uses(r, s, project.Join{Source: n.Project, Target: n.Target})
			})
		})
	}
	for _, n := range w.view.Snapshot.Links {
		if wanted(n) {
			continue
		}
		used, stopping := false, false
		for _, o := range w.view.Snapshot.Services {
			used = used || slices.Contains(o.Networks, n.ID)
			stopping = stopping || o.SwarmID == "" && (o.Project == n.Project || o.ID == n.Target.Service)
		}
		if stopping {
			w.busy = true
		}
		if used || stopping {
			continue
		}
		w.drop(ctx, "remove the network of a link", n.ID)
	}
}
