package reconcile

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
)

// moves is how often a network looks for other addresses in one pass. A swarm
// takes its time to say that it does not give some.
const moves = 3

// fence makes a network. When somebody else has its addresses it takes others,
// which are remembered by move first.
func (w *work) fence(ctx context.Context, n service.Network, move func(subnet string) error) (service.Network, error) {
	var tried []project.Record
	for range moves {
		err := w.taken(n)
		if err == nil {
			n.Name = name(n)
			if n.ID, err = w.loop.hands.EnsureNetwork(ctx, n); err == nil {
				return n, nil
			}
		}
		if problem.KindOf(err) != problem.Conflict || w.loop.set.Addresses == nil {
			return n, err
		}
		tried = append(tried, project.Record{Subnet: n.Subnet})
		other, none := w.giveAddresses(ctx, n, tried, move)
		if none != nil {
			return n, none
		}
		w.loop.set.Log.Warn("a network takes other addresses", "project", n.Project, "former", n.Subnet, "now", other, "why", err)
		n.Subnet = other
	}
	return n, problem.New(problem.Busy, "make the network: others have the addresses that were tried, the last %s", n.Subnet).With("it is tried again; see who has them: docker network ls")
}

// giveAddresses chooses other addresses and remembers them. A deploy that gives
// a project addresses at the same time holds the same lock, and what it has
// remembered since the pass began is read again.
func (w *work) giveAddresses(ctx context.Context, n service.Network, tried []project.Record, move func(subnet string) error) (string, error) {
	space := w.loop.set.Addresses
	space.Lock()
	defer space.Unlock()
	records, err := w.loop.hands.Projects(ctx)
	if err != nil {
		return "", err
	}
	bits := project.SubnetBits
	if n.Target != (service.Target{}) {
		bits = project.LinkBits
	}
	other, err := space.Unused(slices.Concat(records, tried), w.view.Snapshot, bits)
	if err != nil {
		return "", err
	}
	return other, move(other)
}

// dropUnaddressed takes networks without addresses out of the view, and removes
// them. Nothing can run on one: a server that was killed while it made one
// leaves it, and the swarm gives none to a network whose addresses another has.
func (w *work) dropUnaddressed(ctx context.Context) {
	for _, all := range []*[]service.Network{&w.view.Snapshot.Networks, &w.view.Snapshot.Links} {
		var addressed []service.Network
		for _, n := range *all {
			if n.Subnet != "" {
				addressed = append(addressed, n)
				continue
			}
			w.drop(ctx, "remove a network without addresses", n.ID)
		}
		*all = addressed
	}
}

// keep saves a record that was changed in place.
func (w *work) keep(ctx context.Context, r *project.Record) error {
	if err := w.loop.hands.SaveProject(ctx, *r); err != nil {
		return err
	}
	r.Version++
	return nil
}

// name is a new one each time: an engine remembers a network that is gone.
func name(n service.Network) string {
	kind := "-"
	if n.Target != (service.Target{}) {
		kind = "-l"
	}
	return "h-" + string(n.Project) + kind + project.NewID()
}

// taken tells early that a network of ours has the addresses.
func (w *work) taken(n service.Network) error {
	want, err := netip.ParsePrefix(n.Subnet)
	if err != nil {
		return nil // the engine says so
	}
	for _, o := range slices.Concat(w.view.Snapshot.Networks, w.view.Snapshot.Links) {
		if p, err := netip.ParsePrefix(o.Subnet); err == nil && p.Overlaps(want) {
			return problem.New(problem.Conflict, "the network %s has addresses of %s", o.Name, n.Subnet)
		}
	}
	return nil
}

// hold is a network that could not be removed.
type hold struct {
	until time.Time     // when it is tried again
	pause time.Duration // between the last two tries
}

const (
	// dropTime is how long the others wait for a network that a stranger uses.
	dropTime = 5 * time.Second
	// longestHold is the longest pause between two tries.
	longestHold = 5 * time.Minute
)

// drop removes a network. Some stay however often one asks: an engine whose
// connecting of a container failed halfway holds it for used until it starts
// anew. So the tries become rarer, and the others wait for few of them.
func (w *work) drop(ctx context.Context, deed, id string) {
	before := w.loop.held[id]
	if w.view.Now.Before(before.until) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dropTime)
	defer cancel()
	err := w.loop.hands.RemoveNetwork(ctx, id)
	w.failed(deed, err)
	maps.DeleteFunc(w.loop.held, func(_ string, h hold) bool { return w.view.Now.Sub(h.until) > 2*longestHold }) // gone otherwise
	if err == nil {
		delete(w.loop.held, id)
		return
	}
	if w.loop.held == nil {
		w.loop.held = map[string]hold{}
	}
	pause := min(max(2*before.pause, dropTime), longestHold)
	w.loop.held[id] = hold{time.Now().Add(pause), pause}
}
