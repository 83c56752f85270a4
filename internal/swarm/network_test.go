package swarm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

func TestNetworkIsMadeOnce(t *testing.T) {
	w := open(t)
	d := w.project(t, "network2", "10.87.24.0/24")
	want := service.Network{Name: "h-network2-1", Environment: "prod", Project: "network2", Subnet: "10.87.24.0/24"}
	if id, err := w.swarm.EnsureNetwork(t.Context(), want); err != nil || id != d.Network {
		t.Errorf("the second time it is %s, %v", id, err)
	}
	snap, err := w.swarm.Snapshot(t.Context())
	want.ID = d.Network
	if err != nil || !slices.Contains(snap.Networks, want) {
		t.Errorf("there are %+v, %v", snap.Networks, err)
	}
	want.Subnet = "10.87.25.0/24"
	if _, err := w.swarm.EnsureNetwork(t.Context(), want); problem.KindOf(err) != problem.Conflict {
		t.Errorf("another subnet for a network that is there: %v", err)
	}
	want.Subnet = "nonsense"
	if _, err := w.swarm.EnsureNetwork(t.Context(), want); problem.KindOf(err) != problem.Invalid {
		t.Errorf("error = %v", err)
	}
}

func TestNetworkWithAddressesOfAnotherIsAConflict(t *testing.T) {
	w := open(t)
	w.project(t, "overlap2", "10.87.27.0/24")
	want := service.Network{Name: "h-overlap3-1", Environment: "prod", Project: "overlap3", Subnet: "10.87.27.0/25"}
	id, err := w.swarm.EnsureNetwork(t.Context(), want)
	if problem.KindOf(err) != problem.Conflict {
		t.Errorf("%s, %v", id, err)
	}
	snap, err := w.swarm.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range snap.Networks {
		if n.Project == "overlap3" {
			t.Errorf("%+v is left", n)
		}
	}
}

// The portal is everybody's: a network of one project that it cannot join keeps
// it from no other.
func TestPortalJoinsTheNetworksThatItCan(t *testing.T) {
	w := open(t)
	a, b := w.project(t, "joining2", "10.87.28.0/24"), w.project(t, "joining3", "10.87.29.0/24")
	missing := strings.Repeat("a", 25)
	for range 2 { // one that is made, and one that runs
		if err := w.swarm.EnsurePortal(t.Context(), "prod", []string{a.Network, missing, b.Network}); problem.KindOf(err) != problem.NotFound {
			t.Errorf("error = %v", err)
		}
		snap, err := w.swarm.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(slices.Values([]string{a.Network, b.Network}))
		if len(snap.Portals) != 1 || !snap.Portals[0].Running || !slices.Equal(snap.Portals[0].Networks, want) {
			t.Errorf("portals are %+v; want one on %v", snap.Portals, want)
		}
	}
	if err := w.swarm.EnsurePortal(t.Context(), "prod", nil); err != nil {
		t.Error(err)
	}
}

// The engine lists a network for a moment after the swarm has removed it; who
// applies the project again then would start on it.
func TestRemovedNetworkIsSeenNoMore(t *testing.T) {
	w := open(t)
	for n := range 5 {
		d := w.project(t, spec.ProjectID(fmt.Sprintf("removed%d", n+2)), fmt.Sprintf("10.87.%d.0/24", 40+n))
		if err := w.swarm.EnsurePortal(t.Context(), "prod", []string{d.Network}); err != nil {
			t.Fatal(err)
		}
		w.start(t, d)
		o := w.until(t, d, "a container", func(o service.Observed) bool { return runs(o) == 1 })
		if err := w.swarm.RemoveService(t.Context(), o.SwarmID); err != nil {
			t.Fatal(err)
		}
		if err := w.swarm.RemoveNetwork(t.Context(), d.Network); err != nil {
			t.Fatal(err)
		}
		snap, err := w.swarm.Snapshot(t.Context())
		if err != nil || slices.ContainsFunc(snap.Networks, func(n service.Network) bool { return n.ID == d.Network }) {
			t.Errorf("%d: there are %+v, %v", n, snap.Networks, err)
		}
	}
	if err := w.swarm.EnsurePortal(t.Context(), "prod", nil); err != nil {
		t.Error(err)
	}
}

func TestMissingNetworkMayCome(t *testing.T) {
	w := open(t)
	d := w.project(t, "missing2", "10.87.46.0/24")
	if err := w.swarm.RemoveNetwork(t.Context(), d.Network); err != nil {
		t.Fatal(err)
	}
	err := w.swarm.StartService(t.Context(), d)
	hook := w.swarm.StartHook(t.Context(), d, service.Init, []string{"/app"})
	if problem.KindOf(err) != problem.Unavailable || problem.KindOf(hook) != problem.Unavailable {
		t.Errorf("errors = %v; %v", err, hook)
	}
}
