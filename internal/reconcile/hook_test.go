package reconcile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

func acts(w *world, prefix string) int {
	n := 0
	for _, a := range w.cluster.Acts() {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

func TestInitRunsOnceBeforeTheFirstStart(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "filled", 0))
		w.settle()
		w.apply("shop", web("db", "data", 0))
		w.settle()
		w.apply("shop", web("db", "filled", 0))
		w.settle()
		if n := acts(w, "init "); n != 1 {
			t.Errorf("the init was started %d times: %q", n, w.cluster.Acts())
		}
		if active, state := w.serving("shop", "db"); active != 3 || state != project.Active {
			t.Errorf("r%d serves, the last is %s", active, state)
		}
	})
}

func TestFailedInitStopsTheDeployAndIsKept(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "broken", 0))
		w.passFor(time.Minute)
		r, _ := w.find("shop")
		ro := r.Service("db").Rollout(1)
		if ro.State != project.Failed || !strings.Contains(ro.Reason, "init /dk/container_init") || !strings.Contains(ro.Reason, "code 3") || !slices.Contains(ro.Lines, "no disk") {
			t.Errorf("%s: %q, %q", ro.State, ro.Reason, ro.Lines)
		}
		if n := acts(w, "init "); n != 1 {
			t.Errorf("nobody asked again, and the init was started %d times", n)
		}
		if got := w.cluster.State().Services; len(got) != 0 {
			t.Errorf("the service started all the same: %v", got)
		}
		w.apply("shop", web("db", "filled", 0))
		w.settle()
		if active, _ := w.serving("shop", "db"); active != 2 || acts(w, "init ") != 2 {
			t.Errorf("the mended one: r%d serves after %d inits", active, acts(w, "init "))
		}
	})
}

func TestInitThatTakesTooLongFailsTheDeployAndEnds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		db := web("db", "endless", 0)
		db.InitTimeout = spec.Duration(time.Minute)
		w.apply("shop", db)
		w.passFor(50 * time.Second)
		if n := w.cluster.State().Inits; n != 1 {
			t.Fatalf("%d inits run", n)
		}
		w.passFor(time.Minute)
		r, _ := w.find("shop")
		ro := r.Service("db").Rollout(1)
		if ro.State != project.Failed || !strings.Contains(ro.Reason, "init /dk/container_init did not fill its volumes within 1m0s") || !slices.Contains(ro.Lines, "filling") {
			t.Errorf("%s: %q, %q", ro.State, ro.Reason, ro.Lines)
		}
		if s := w.cluster.State(); s.Inits != 0 || len(s.Services) != 0 {
			t.Errorf("%d inits and %v are left", s.Inits, s.Services)
		}
		if n := acts(w, "init "); n != 1 {
			t.Errorf("nobody asked again, and the init was started %d times", n)
		}
		w.apply("shop", web("db", "filled", 0))
		w.settle()
		if active, _ := w.serving("shop", "db"); active != 2 || acts(w, "init ") != 2 {
			t.Errorf("the mended one: r%d serves after %d inits", active, acts(w, "init "))
		}
	})
}

// A busy engine takes its time to start a container. That is not the init's.
func TestTimeOfAnInitCountsFromWhenItRuns(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		db := web("db", "tardy", 0)
		db.InitTimeout = spec.Duration(2 * time.Second)
		w.apply("shop", db)
		w.settle()
		if active, state := w.serving("shop", "db"); active != 1 {
			t.Errorf("r%d serves, the last is %s", active, state)
		}
	})
	in(t, func(t *testing.T, w *world) {
		db := web("db", "unbegun", 0)
		db.InitTimeout = spec.Duration(2 * time.Second)
		w.apply("shop", db)
		w.passFor(service.Patience + 10*time.Second)
		if _, state := w.serving("shop", "db"); state != project.Failed || w.cluster.State().Inits != 0 {
			t.Errorf("an init that never runs: %s", state)
		}
	})
}

func TestInitThatNobodyWantsAnyMoreEnds(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"stopped": func(w *world) { w.change("shop", func(r *project.Record) { r.Service("db").Stopped = true }) },
		"removed": func(w *world) { w.remove("shop") },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.apply("shop", web("db", "endless", 0))
				w.passFor(10 * time.Second)
				if n := w.cluster.State().Inits; n != 1 {
					t.Fatalf("%d inits run", n)
				}
				end(w)
				w.settle()
				if n := w.cluster.State().Inits; n != 0 {
					t.Errorf("%d inits are left", n)
				}
			})
		})
	}
}

func TestOwnInitReplacesTheImages(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		own, none := web("own", "filled", 0), web("none", "filled", 0)
		own.InitHook, none.InitHook = []string{"/app/seed", "--all"}, []string{""}
		w.apply("shop", own, none)
		w.settle()
		if n := acts(w, "init "); n != 1 || acts(w, "init /app/seed --all") != 1 {
			t.Errorf("%q", w.cluster.Acts())
		}
	})
}

func TestUpgradeRunsOnceInEachUpdateToAnotherImage(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		for i, step := range []struct {
			image    string
			upgrades int // so far
		}{{"filled", 0}, {"up2", 1}, {"up2", 1}, {"good", 2}, {"up2", 3}} {
			s := migrating(step.image)
			s.Environment = map[string]string{"STEP": string(rune('0' + i))} // each is a rollout
			w.apply("shop", s)
			w.settle()
			w.restart()
			w.settle()
			if n := acts(w, "upgrade /migrate"); n != step.upgrades {
				t.Errorf("after %d deploys, the last of %s, %d upgrades were started; want %d", i+1, step.image, n, step.upgrades)
			}
			if active, state := w.serving("shop", "db"); active != i+1 || state != project.Active {
				t.Errorf("r%d serves, the last is %s", active, state)
			}
		}
		s := web("db", "data", 0) // without one
		w.apply("shop", s)
		w.settle()
		if n := acts(w, "upgrade "); n != 3 {
			t.Errorf("%d upgrades were started", n)
		}
	})
}

func TestFailedUpgradeStopsTheDeployAndTheOldOneServes(t *testing.T) {
	for _, image := range []string{"data", "good"} { // that stops for the update, and that does not
		t.Run(image, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.apply("shop", migrating(image))
				w.settle()
				w.apply("shop", migrating("downhill"))
				w.passFor(time.Minute)
				r, _ := w.find("shop")
				ro := r.Service("db").Rollout(2)
				if ro.State != project.Failed || !strings.Contains(ro.Reason, "upgrade /migrate did not bring its data to the new image") || !strings.Contains(ro.Reason, "code 5") || !slices.Contains(ro.Lines, "no such table") {
					t.Errorf("%s: %q, %q", ro.State, ro.Reason, ro.Lines)
				}
				if active, _ := w.serving("shop", "db"); active != 1 {
					t.Errorf("r%d serves", active)
				}
				if s := w.cluster.State(); len(s.Services) != 1 || s.Inits != 0 || acts(w, "upgrade ") != 1 {
					t.Errorf("there are %+v after %d upgrades", s, acts(w, "upgrade "))
				}
				w.mends(t)
			})
		})
	}
}

func TestServiceWithoutDataServesWhileItsUpgradeRuns(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", migrating("good"))
		w.settle()
		w.apply("shop", migrating("up3"))
		w.passFor(10 * time.Second)
		if s := w.cluster.State(); len(s.Services) != 1 || s.Inits != 1 {
			t.Errorf("while the upgrade runs there are %+v", s)
		}
		w.settle()
		if active, _ := w.serving("shop", "db"); active != 2 {
			t.Errorf("r%d serves", active)
		}
	})
}

// mends applies an image whose upgrade works after one whose did not.
func (w *world) mends(t *testing.T) {
	t.Helper()
	w.apply("shop", migrating("up2"))
	w.settle()
	if active, _ := w.serving("shop", "db"); active != 3 || acts(w, "upgrade ") != 2 {
		t.Errorf("the mended one: r%d serves after %d upgrades", active, acts(w, "upgrade "))
	}
}

func TestUpgradeThatTakesTooLongFailsTheDeployAndEnds(t *testing.T) {
	for _, image := range []string{"data", "good"} { // that stops for the update, and that does not
		t.Run(image, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.apply("shop", migrating(image))
				w.settle()
				db := migrating("forever")
				db.UpgradeTimeout = spec.Duration(time.Minute)
				w.apply("shop", db)
				w.passFor(50 * time.Second)
				if n := w.cluster.State().Inits; n != 1 {
					t.Fatalf("%d upgrades run", n)
				}
				w.passFor(time.Minute)
				r, _ := w.find("shop")
				ro := r.Service("db").Rollout(2)
				if ro.State != project.Failed || !strings.Contains(ro.Reason, "upgrade /migrate did not bring its data to the new image within 1m0s") || !slices.Contains(ro.Lines, "table 1 of 9") {
					t.Errorf("%s: %q, %q", ro.State, ro.Reason, ro.Lines)
				}
				if active, _ := w.serving("shop", "db"); active != 1 || w.cluster.State().Inits != 0 || len(w.cluster.State().Services) != 1 {
					t.Errorf("r%d serves, there are %+v", active, w.cluster.State())
				}
				if n := acts(w, "upgrade "); n != 1 {
					t.Errorf("nobody asked again, and the upgrade was started %d times", n)
				}
				w.mends(t)
			})
		})
	}
}

// One that was removed and comes back with another image has nothing to go
// back to: what fails stays what is wanted.
func TestUpgradeOfWhatComesBackHasItsTime(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", migrating("data"))
		w.settle()
		w.change("shop", func(r *project.Record) { r.Services[0].Removed, r.Declared.Services = true, nil })
		w.settle()
		db := migrating("forever")
		db.UpgradeTimeout = spec.Duration(time.Minute)
		w.apply("shop", db)
		w.passFor(2 * time.Minute)
		r, _ := w.find("shop")
		if ro := r.Service("db").Rollout(2); ro.State != project.Failed || w.cluster.State().Inits != 0 || acts(w, "upgrade ") != 1 {
			t.Errorf("r2 is %s: %s; after %d upgrades there are %+v", ro.State, ro.Reason, acts(w, "upgrade "), w.cluster.State())
		}
	})
}

// An engine that dies before a hook runs leaves a task that never will.
func TestInitThatNeverRanIsTriedAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "lost2", 0))
		w.settle()
		if active, state := w.serving("shop", "db"); active != 1 || state != project.Active {
			t.Errorf("r%d serves, the last is %s", active, state)
		}
		if n := acts(w, "init "); n != 3 {
			t.Errorf("it was started %d times: %q", n, w.cluster.Acts())
		}
	})
}

func TestInitThatNeverRunsFailsTheDeploy(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "lost", 0))
		w.passFor(service.Patience + time.Minute)
		r, _ := w.find("shop")
		if ro := r.Service("db").Rollout(1); ro.State != project.Failed || !strings.Contains(ro.Reason, "init /dk/container_init could not be started: no network attachments") {
			t.Errorf("%s: %q", ro.State, ro.Reason)
		}
	})
}

// Who is told to end may end with code 0.
func TestInitThatWasEndedHasNotDoneItsWork(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "cut", 0))
		w.passFor(time.Minute)
		r, _ := w.find("shop")
		if ro := r.Service("db").Rollout(1); ro.State != project.Failed || !strings.Contains(ro.Reason, "did not fill its volumes: the swarm ended it") {
			t.Errorf("%s: %q", ro.State, ro.Reason)
		}
		if got := w.cluster.State().Services; len(got) != 0 || acts(w, "init ") != 1 {
			t.Errorf("after %d inits there are %v", acts(w, "init "), got)
		}
	})
}
