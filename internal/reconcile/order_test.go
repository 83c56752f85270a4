package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"havre/internal/project"
	"havre/internal/spec"
)

// ordered makes a service without data whose updates have an order.
func ordered(image string, order spec.Order) spec.Service {
	s := web("web", image, 4001)
	s.Order = order
	return s
}

// alone is about a service that is to be alone, and one that no longer is.
var alone = []func(w *world){
	func(w *world) { w.apply("shop", ordered("good", spec.StopFirst)) },
	func(w *world) { w.apply("shop", ordered("better", spec.StopFirst)) },
	func(w *world) { w.apply("shop", ordered("crash", spec.StopFirst)) },
	func(w *world) { w.apply("shop", ordered("check", "")) },
	func(w *world) { w.apply("shop", ordered("good", spec.StartFirst)) },
}

func TestRolloutThatIsToBeAloneStartsWhenTheOldOneHasStopped(t *testing.T) {
	in(t, func(t *testing.T, w *world) { // which looks that the two never ran at once
		w.apply("shop", ordered("good", ""))
		w.settle()
		w.cluster.Connect(1)
		w.apply("shop", ordered("better", spec.StopFirst))
		w.passFor(5 * time.Second)
		if s := w.cluster.State(); len(s.Services) != 1 || !strings.HasSuffix(s.Services[0], "r1 x1: 1 run") || !strings.HasPrefix(s.Routes[0], "4001 to 0") {
			t.Errorf("with a client connected: %+v", s)
		}
		w.cluster.Connect(-1)
		w.settle()
		if n, _ := w.serving("shop", "web"); n != 2 || !strings.HasPrefix(w.cluster.State().Routes[0], "4001 to 1") {
			t.Errorf("r%d serves of %+v", n, w.cluster.State())
		}
	})
}

func TestOldOneComesBackWhenOneThatIsToBeAloneFails(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", ordered("good", spec.StopFirst))
		w.settle()
		w.apply("shop", ordered("crash", spec.StopFirst))
		w.settle()
		if n, state := w.serving("shop", "web"); n != 1 || state != project.Failed {
			t.Errorf("r%d serves; the last one is %s", n, state)
		}
		if s := w.cluster.State(); len(s.Services) != 1 || !strings.HasSuffix(s.Services[0], "r1 x1: 1 run") {
			t.Errorf("got %v", s.Services)
		}
	})
}

func TestAnotherOrderTouchesNoContainerAndCountsFromThenOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", ordered("good", ""))
		w.settle()
		before := w.cluster.State().Services[0]
		w.apply("shop", ordered("good", spec.StopFirst))
		w.settle()
		if s := w.cluster.State().Services; len(s) != 1 || s[0] != before {
			t.Errorf("%s became %v", before, s)
		}
		w.apply("shop", ordered("better", "")) // the one that serves wants to be alone still
		least := len(w.cluster.Table().TCP[0].Targets)
		for range 20 {
			w.passFor(time.Second)
			least = min(least, len(w.cluster.Table().TCP[0].Targets))
		}
		w.apply("shop", ordered("good", "")) // and now none does
		for range 20 {
			w.passFor(time.Second)
			if n := len(w.cluster.Table().TCP[0].Targets); n != 1 {
				t.Fatalf("the route leads to %d", n)
			}
		}
		if n, _ := w.serving("shop", "web"); n != 3 || least != 0 {
			t.Errorf("r%d serves; in the update before, the route led to %d at least", n, least)
		}
	})
}
