package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"havre/internal/problem"
	"havre/internal/service"
)

// How long is waited for the last container of a network that goes, for its
// going, and for the addresses of one that comes; and how often is looked.
const (
	emptyWithin     = 30 * time.Second
	goneWithin      = 3 * time.Second
	addressedWithin = 10 * time.Second
	emptyLook       = 100 * time.Millisecond
)

// networks are our overlays, projects' own and those of links, sorted by name.
func (s *Swarm) networks(ctx context.Context) ([]service.Network, error) {
	r, err := s.api.NetworkList(ctx, client.NetworkListOptions{Filters: ours(labelKind)})
	if err != nil {
		return nil, explain(err, "list networks")
	}
	var all []service.Network
	for _, n := range r.Items {
		all = append(all, networkOf(n.Network))
	}
	slices.SortFunc(all, func(a, b service.Network) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func networkOf(n network.Network) service.Network {
	m := readMark(n.Labels)
	subnet := ""
	if len(n.IPAM.Config) > 0 {
		subnet = n.IPAM.Config[0].Subnet.String()
	}
	return service.Network{ID: n.ID, Name: n.Name, Environment: m.environment, Project: m.project, Target: m.target, Subnet: subnet}
}

// EnsureNetwork makes the network of want's name, unless it is there, and
// returns its id once the swarm has given it its addresses.
//
// Errors: Conflict when there is one of that name with another subnet, or
// another network has the addresses; Invalid when the subnet is none.
func (s *Swarm) EnsureNetwork(ctx context.Context, want service.Network) (string, error) {
	subnet, err := netip.ParsePrefix(want.Subnet)
	if err != nil {
		return "", problem.New(problem.Invalid, "make network %s: %q is no subnet", want.Name, want.Subnet)
	}
	there, err := s.networkNamed(ctx, want)
	if err != nil {
		return "", err
	}
	if there != nil {
		return there.ID, s.awaitAddresses(ctx, want)
	}
	id, err := s.createNetwork(ctx, want, subnet)
	if err != nil {
		return "", err
	}
	err = s.awaitAddresses(ctx, want)
	if problem.KindOf(err) == problem.Conflict {
		_, _ = s.api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{}) // the conflict is what matters; Snapshot shows what is left
		id = ""
	}
	return id, err
}

// awaitAddresses waits until the swarm has set the subnet aside: for a moment
// a new network has none, and one that overlaps another never gets any, which
// nobody is told.
func (s *Swarm) awaitAddresses(ctx context.Context, want service.Network) error {
	waiting, cancel := context.WithTimeout(ctx, addressedWithin)
	defer cancel()
	for {
		there, err := s.networkNamed(ctx, want)
		switch {
		case err != nil:
			return err
		case there == nil:
			return problem.New(problem.Conflict, "make network %s: it was removed meanwhile", want.Name)
		case there.Subnet == want.Subnet && there.Project == want.Project:
			return nil
		case there.Subnet != "":
			return problem.New(problem.Conflict, "make network %s: there is one already, with subnet %s", want.Name, there.Subnet)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("make network %s: %w", want.Name, ctx.Err())
		case <-waiting.Done():
			return problem.New(problem.Conflict, "make network %s: the swarm does not give it the addresses %s", want.Name, want.Subnet).With("see which other network of the engine has them: docker network ls")
		case <-time.After(emptyLook):
		}
	}
}

func ofLink(n service.Network) bool { return n.Target != (service.Target{}) }

// networkNamed is nil when there is none of want's name and sort.
func (s *Swarm) networkNamed(ctx context.Context, want service.Network) (*service.Network, error) {
	all, err := s.networks(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if n.Name == want.Name && n.Target == want.Target {
			return &n, nil
		}
	}
	return nil, nil
}

func (s *Swarm) createNetwork(ctx context.Context, want service.Network, subnet netip.Prefix) (string, error) {
	kind := kindNetwork
	if ofLink(want) {
		kind = kindLink
	}
	r, err := s.api.NetworkCreate(ctx, want.Name, client.NetworkCreateOptions{
		Driver:     "overlay",
		Attachable: !ofLink(want), // for the portal, which is a plain container and has no business between projects
		IPAM:       &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}},
		Labels:     mark{kind: kind, environment: want.Environment, project: want.Project, target: want.Target}.labels(nil),
	})
	err = explain(err, "make network %s", want.Name)
	if p := (*problem.Problem)(nil); errors.As(err, &p) && p.Rule == "network-taken" {
		p.Kind = problem.Conflict // other addresses will do
	}
	return r.ID, err
}

// RemoveNetwork takes a network away once nothing uses it any more: a network
// removed while a container of it stops would linger in the engine as a ghost
// and spoil the next one. Portals are taken off it. It is no error when there
// is none.
//
// Errors: Busy when something still uses it after 30 s.
func (s *Swarm) RemoveNetwork(ctx context.Context, id string) error {
	waiting, cancel := context.WithTimeout(ctx, emptyWithin)
	defer cancel()
	for {
		users, err := s.networkUsers(ctx, id)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			_, err = s.api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
			switch err = explain(err, "remove network %s", id); problem.KindOf(err) {
			case "":
				return s.awaitGone(ctx, id)
			case problem.NotFound:
				return nil
			case problem.Denied, problem.Unavailable, problem.Internal:
				return err
			}
			users = []string{err.Error()} // an endpoint that is just going
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove network %s: %w; it is used: %s", id, ctx.Err(), strings.Join(users, ", "))
		case <-waiting.Done():
			return problem.New(problem.Busy, "remove network %s: it is still used: %s", id, strings.Join(users, ", ")).With("try again when its services have stopped")
		case <-time.After(emptyLook):
		}
	}
}

// awaitGone waits until the engine lists a network no more that the swarm has
// removed: who saw it would start something on it. One that stays is a ghost,
// of which the swarm knows nothing; nothing is to be had by waiting for it.
func (s *Swarm) awaitGone(ctx context.Context, id string) error {
	for until := time.Now().Add(goneWithin); ; {
		all, err := s.networks(ctx)
		listed := slices.ContainsFunc(all, func(n service.Network) bool { return n.ID == id })
		if err != nil || !listed || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove network %s: %w", id, ctx.Err())
		case <-time.After(emptyLook):
		}
	}
}

// networkUsers names who is on a network, after portals were taken off.
func (s *Swarm) networkUsers(ctx context.Context, id string) ([]string, error) {
	r, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours(labelKind).Add("network", id)})
	if err != nil {
		return nil, explain(err, "list the containers on network %s", id)
	}
	var users []string
	for _, c := range r.Items {
		switch {
		case over(c.State):
		case readMark(c.Labels).kind == kindPortal:
			if err := s.disconnect(ctx, c.ID, id); err != nil {
				return nil, err
			}
		default:
			users = append(users, fmt.Sprintf("container %.12s (%s)", c.ID, c.State))
		}
	}
	return users, nil
}
