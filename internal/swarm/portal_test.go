package swarm_test

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"havre/internal/lab"
	"havre/internal/portal"
	"havre/internal/service"
)

func (w world) portal(t *testing.T) service.Portal {
	t.Helper()
	snap, err := w.swarm.Snapshot(t.Context())
	if err != nil || len(snap.Portals) != 1 {
		t.Fatalf("portals are %+v, %v; want one", snap.Portals, err)
	}
	return snap.Portals[0]
}

// built gives the world, where the portal's program has to be built in.
func built(t *testing.T) world {
	t.Helper()
	w := open(t)
	if _, err := portal.Image(portal.Users{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPortalFollowsTheNetworks(t *testing.T) {
	w := built(t)
	one := w.project(t, "portal22", "10.87.20.0/24")
	two := w.project(t, "portal23", "10.87.21.0/24")
	two.Variables = []string{"TCP=25", "HTTP=none"}
	w.running(t, two)
	t.Cleanup(func() {
		if err := w.swarm.RemovePortal(context.WithoutCancel(t.Context()), "prod"); err != nil {
			t.Error(err)
		}
	})
	ensure := func(networks ...string) service.Portal {
		t.Helper()
		for range 2 { // twice is once
			if err := w.swarm.EnsurePortal(t.Context(), "prod", networks); err != nil {
				t.Fatal(err)
			}
		}
		p := w.portal(t)
		slices.Sort(networks)
		if !p.Running || p.Environment != "prod" || !slices.Equal(p.Networks, networks) {
			t.Errorf("the portal is %+v, want it on %v", p, networks)
		}
		return p
	}
	first := ensure(one.Network)
	both := ensure(one.Network, two.Network)
	if both.Container != first.Container {
		t.Error("another network made another portal")
	}
	dial(t, w, two)
	if ensure(two.Network).Container != first.Container {
		t.Error("a network less made another portal")
	}
	dial(t, w, two)

	w.Docker(t, "stop", "--time", "1", first.Container)
	if ensure(two.Network).Container == first.Container {
		t.Error("the stopped portal is still there")
	}
	dial(t, w, two)
	if err := w.swarm.EnsurePortal(t.Context(), "prod", nil); err != nil {
		t.Fatal(err)
	}
	if snap, err := w.swarm.Snapshot(t.Context()); err != nil || len(snap.Portals) != 0 {
		t.Errorf("without networks there is %+v, %v", snap.Portals, err)
	}
}

// dial speaks to the service's port 25 through the portal.
func dial(t *testing.T, w world, d service.Desired) {
	t.Helper()
	lab.Eventually(t, "an answer through the portal", func(ctx context.Context) error {
		o, err := w.observe(ctx, d)
		if err != nil || runs(o) != 1 {
			return fmt.Errorf("%s, %w", describe(o), err)
		}
		task := o.Tasks[0]
		c, err := portal.Dial(ctx, filepath.Join(w.data, "portal", "prod", "portal.sock"), portal.Target{Container: task.Container, Address: task.Address, Port: 25})
		if err != nil {
			return err
		}
		defer c.Close()
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "v1 10.87.") {
			t.Errorf("it greets with %q", line)
		}
		return err
	})
}

func TestRemovedNetworkTakesThePortalOff(t *testing.T) {
	w := built(t)
	one := w.project(t, "portal24", "10.87.22.0/24")
	two := w.project(t, "portal25", "10.87.23.0/24")
	t.Cleanup(func() {
		if err := w.swarm.RemovePortal(context.WithoutCancel(t.Context()), "prod"); err != nil {
			t.Error(err)
		}
	})
	if err := w.swarm.EnsurePortal(t.Context(), "prod", []string{one.Network, two.Network}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.swarm.RemoveNetwork(t.Context(), one.Network); err != nil {
			t.Fatal(err)
		}
	}
	if p := w.portal(t); !slices.Equal(p.Networks, []string{two.Network}) || !p.Running {
		t.Errorf("the portal is %+v", p)
	}
}
