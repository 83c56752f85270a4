package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"havre/internal/service"
)

// changePortal is an upgrade to a Havre with another portal.
func (w *world) changePortal(image string, held bool) {
	w.cluster.ChangePortal(image, held)
	w.restart()
}

// portals says which portals run, the oldest first.
func (w *world) portals(what, want string) {
	w.t.Helper()
	w.settle()
	if got := fmt.Sprint(w.cluster.Portals()); got != want {
		w.t.Errorf("%s: %s; want %s", what, got, want)
	}
}

func TestNewPortalStandsBesideTheOldForItsConnections(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.changePortal("one", false)
		w.portals("at first", "[one]")
		w.changePortal("two", true)
		w.portals("with a connection", "[one two]")
		w.passFor(service.PortalFarewell / 2)
		w.portals("half an hour later", "[one two]")
		w.cluster.HangUp()
		w.passFor(2 * time.Second)
		w.portals("without it", "[two]")
		if n := len(w.cluster.State().Portals); n != 1 {
			t.Errorf("%d portals lie about", n)
		}
	})
}

func TestReplacedPortalGoesAfterAnHourInAnyCase(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.changePortal("one", false)
		w.portals("at first", "[one]")
		w.changePortal("two", true)
		w.passFor(service.PortalFarewell - time.Minute)
		w.portals("shortly before", "[one two]")
		w.passFor(2 * time.Minute)
		w.portals("after it", "[two]")
	})
}

func TestPortalsDoNotPileUp(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		for _, image := range []string{"one", "two", "three", "four", "five"} {
			w.changePortal(image, true)
			w.settle()
		}
		w.portals("five in a row", "[three four five]")
		w.remove("shop")
		w.portals("without networks", "[]")
	})
}

func TestReplacedPortalLeavesANetworkThatGoes(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.apply("store", web("db", "data", 0))
		w.changePortal("one", false)
		w.settle()
		w.changePortal("two", true)
		w.portals("with a connection", "[one two]")
		w.remove("store")
		w.settle()
		if got := fmt.Sprint(w.cluster.State().Portals); got != "[s on 1one s on 1two]" {
			t.Errorf("portals are %s", got)
		}
	})
}
