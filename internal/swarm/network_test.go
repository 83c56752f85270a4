package swarm_test

import (
	"slices"
	"testing"

	"havre/internal/problem"
	"havre/internal/service"
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
