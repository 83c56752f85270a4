package reconcile_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/reconcile"
	"havre/internal/spec"
)

// moving makes a new loop, whose networks may take other addresses.
func (w *world) moving() {
	w.loop = reconcile.New(w.cluster.Hands(w.records), reconcile.Settings{Addresses: &project.Addresses{
		Pool: netip.MustParsePrefix("10.90.0.0/16"), Routes: func() ([]netip.Prefix, error) { return nil, nil },
	}})
}

// A network of somebody else that has the addresses, of the project or of a
// link, is gone round, and what was found is remembered.
func TestNetworkTakesOtherAddressesWhenItsOwnAreTaken(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.moving()
		w.cluster.Taken = []string{"10.87.pstore.0/24", "10.88.pshop.0/24"}
		w.apply("pstore", web("db", "good", 0))
		linked := web("web", "good", 8080)
		linked.Links = []spec.Link{{To: "pstore/db"}}
		w.apply("pshop", linked)
		w.settle()
		store, _ := w.find("pstore")
		shop, _ := w.find("pshop")
		seen := map[string]int{}
		snap, err := w.cluster.Hands(w.records).Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range append(snap.Networks, snap.Links...) {
			seen[n.Subnet]++
		}
		if seen[store.Subnet] != 1 || seen[shop.Subnet] != 1 || seen[shop.Links[0].Subnet] != 1 || len(seen) != 3 {
			t.Errorf("the networks are %v, remembered are %s, %s and %s", seen, store.Subnet, shop.Subnet, shop.Links[0].Subnet)
		}
		for text, bits := range map[string]int{store.Subnet: project.SubnetBits, shop.Links[0].Subnet: project.LinkBits} {
			if p, err := netip.ParsePrefix(text); err != nil || p.Bits() != bits || !netip.MustParsePrefix("10.90.0.0/16").Overlaps(p) {
				t.Errorf("%s is no /%d of the pool", text, bits)
			}
		}
		for _, r := range []project.Record{store, shop} {
			s := r.Services[0]
			if ro := s.Rollout(s.Active); ro == nil || ro.State != project.Active {
				t.Errorf("%s: %+v", s.Name, s.Rollouts)
			}
		}
	})
}

// A deploy may give a project addresses while a pass looks for others. There are
// two places in this pool: one is taken, the other has just been given away.
func TestNetworkThatMovesTakesNoAddressesThatAProjectWasJustGiven(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		space := &project.Addresses{Pool: netip.MustParsePrefix("10.90.0.0/23"), Routes: func() ([]netip.Prefix, error) { return nil, nil }}
		w.loop = reconcile.New(w.cluster.Hands(w.records), reconcile.Settings{Addresses: space})
		r := w.apply("shop", web("web", "good", 0))
		r, _ = w.find("shop")
		r.Subnet = "10.90.0.0/24"
		w.save(r)
		given := project.Record{ID: "pnew", Environment: "s", Name: "new", Subnet: "10.90.1.0/24"}
		w.cluster.Taken = []string{"10.90.0.0/24"}
		w.cluster.Refusing(func(call string) error {
			if _, there := w.find("new"); call == "make network" && !there {
				w.save(given)
			}
			return nil
		})
		_, _ = w.loop.Pass(t.Context()) // it says that the pool is used up
		if r, _ = w.find("shop"); r.Subnet == given.Subnet {
			t.Errorf("two projects have %s", r.Subnet)
		}
		w.change("new", func(r *project.Record) { r.Subnet = "10.91.0.0/24" })
		moved := false
		w.cluster.Refusing(func(call string) error {
			if call == "save" && !moved {
				moved = true
				if space.TryLock() {
					space.Unlock()
					t.Error("a deploy could give the same addresses at this moment")
				}
			}
			return nil
		})
		w.settle()
		if r, _ = w.find("shop"); r.Subnet != "10.90.1.0/24" {
			t.Errorf("shop has %s", r.Subnet)
		}
	})
}

// A network without addresses is of no use to its project, and must not keep
// the portal from the networks of others.
func TestNetworkWithoutAddressesStopsNobody(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Unaddressed("s", "pshop")
		w.apply("shop", web("web", "good", 4001))
		w.apply("store", web("db", "good", 4002))
		w.settle()
		for project, svc := range map[string]string{"shop": "web", "store": "db"} {
			if active, _ := w.serving(project, svc); active != 1 {
				t.Errorf("%s serves r%d", project, active)
			}
		}
		if s := w.cluster.State(); len(s.Networks) != 2 || len(s.Portals) != 1 || s.Portals[0] != "s on 2" {
			t.Errorf("there are %v and the portals %v", s.Networks, s.Portals)
		}
	})
}

// An engine may hold a network for used for good. That is asked ever more
// rarely, nobody waits for it, and it goes once the engine lets it go.
func TestNetworkThatStaysIsTriedEverMoreRarely(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 0))
		w.settle()
		var tries atomic.Int32
		w.cluster.Refusing(func(call string) error {
			if call != "remove network" {
				return nil
			}
			tries.Add(1)
			return problem.New(problem.Busy, "it is used")
		})
		w.remove("shop")
		pass := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Second) {
				_, _ = w.loop.Pass(t.Context()) // it says what it could not do
			}
		}
		pass(time.Hour)
		if n := tries.Load(); n < 12 || n > 24 {
			t.Errorf("it was tried %d times in an hour", n)
		}
		w.cluster.Refusing(nil)
		pass(7 * time.Minute)
		snap, err := w.cluster.Hands(w.records).Snapshot(t.Context())
		if err != nil || len(snap.Networks) != 0 {
			t.Errorf("there are %v, %v", snap.Networks, err)
		}
	})
}
