package reconcile_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"havre/internal/project"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/service"
	"havre/internal/spec"
)

// trouble is that of the rollout that counts.
func (w *world) trouble(name, svc string) *service.Trouble {
	w.t.Helper()
	r, _ := w.find(name)
	return r.Service(svc).Current().Trouble
}

// runs counts the containers that run.
func (w *world) runs(name, svc string) int {
	w.t.Helper()
	snap, err := w.cluster.Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	r, _ := w.find(name)
	n := 0
	for _, o := range snap.Services {
		if o.ID == r.Service(svc).ID {
			n += len(o.Live())
		}
	}
	return n
}

// until makes passes until something is so, and tells how long that took.
func (w *world) until(what string, so func() bool) time.Duration {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(500 * time.Millisecond) {
		if _, err := w.loop.Pass(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if so() {
			return time.Since(began)
		}
	}
	w.t.Fatalf("waited in vain for %s", what)
	return 0
}

// Swarm has no back-off: it starts what crashes after 10 ms, for ever.
func TestWhoCrashesAgainAndAgainIsTriedLaterAndLater(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "crash", 4001))
		resting := func() bool { return w.trouble("shop", "web").Resting() }
		trying := func() bool { return !resting() }
		w.until("a rest", resting)
		first := *w.trouble("shop", "web")
		if first.Crashes != 5 || !slices.Equal(first.Lines, []string{"a", "no database"}) || first.End.ExitCode != 3 {
			t.Errorf("it remembers %+v", first)
		}
		for _, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute} {
			now := w.trouble("shop", "web")
			if n := w.runs("shop", "web"); n > 1 {
				t.Errorf("%d containers run", n)
			}
			w.restart() // what is remembered is in the store
			took := w.until("a try", trying)
			if took < want-time.Second || took > want+time.Second || now.Rests < 1 {
				t.Errorf("rest %d took %v, want %v", now.Rests, took, want)
			}
			w.until("another rest", resting)
			w.until("its containers to be gone", func() bool { return w.runs("shop", "web") == 0 })
		}
		if now := w.trouble("shop", "web"); !now.Since.Equal(first.Since) || now.Crashes < 12 {
			t.Errorf("it remembers %+v", now)
		}
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		if n, state := w.serving("shop", "web"); n != 2 || state != project.Active || w.trouble("shop", "web") != nil {
			t.Errorf("r%d serves; the last is %s", n, state)
		}
	})
}

func TestOneCrashIsNoReasonToRest(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		r := w.apply("shop", web("web", "good", 4001))
		w.settle()
		for range 10 {
			w.cluster.CrashAt(reconciletest.Crash{})
			w.cluster.Kill(r.Service("web").ID)
			w.until("the crash to be remembered", func() bool { return w.trouble("shop", "web") != nil })
			w.until("it to be well again", func() bool { return w.trouble("shop", "web") == nil })
			if acts := w.cluster.Acts(); slices.Contains(acts, "scale") {
				t.Fatalf("it did %q", acts)
			}
		}
	})
}

// A first rollout that was given up is tried on, for what it waits for may come.
func TestWhatNeverServedServesWhenATrySucceeds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "crash", 4001))
		w.until("a rest", func() bool { return w.trouble("shop", "web").Resting() })
		if n, state := w.serving("shop", "web"); n != 0 || state != project.Failed {
			t.Errorf("r%d serves; the last is %s", n, state)
		}
		w.cluster.Change("sha256:crash", reconciletest.App{})
		w.until("it to serve", func() bool { n, _ := w.serving("shop", "web"); return n == 1 })
		w.until("its trouble to be over", func() bool { return w.trouble("shop", "web") == nil })
	})
}

func TestNothingRestsWhileAWriterMakesRoom(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 0))
		w.settle()
		w.cluster.Change("sha256:data", reconciletest.App{Image: service.Image{Volumes: []string{"/data"}}, Lives: time.Second, Exit: 1})
		r, _ := w.find("shop")
		w.cluster.Kill(r.Service("db").ID)
		w.until("a long rest", func() bool { tr := w.trouble("shop", "db"); return tr.Resting() && tr.Rests > 3 })
		next := web("db", "data2", 0)
		next.Mounts = []spec.Mount{{Kind: spec.Volume, Source: "db.data", Target: "/data"}}
		w.apply("shop", next)
		took := w.until("the new one to serve", func() bool { n, _ := w.serving("shop", "db"); return n == 2 })
		if took > 15*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// The engine removes a container's log with the container.
func TestLinesAreKeptBeforeContainersGo(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		id := func() spec.ServiceID { r, _ := w.find("shop"); return r.Service("web").ID }()
		w.apply("shop", web("web", "crash", 4001))
		w.settle()
		if kept := w.cluster.Kept(id); kept[1] != 0 || kept[2] == 0 {
			t.Errorf("after an update that failed, of these containers by rollout: %v", kept)
		}
		w.apply("shop", web("web", "better", 4001))
		w.settle()
		if kept := w.cluster.Kept(id); kept[1] != 1 {
			t.Errorf("after an update, of these containers by rollout: %v", kept)
		}
		w.change("shop", func(r *project.Record) { r.Service("web").Stopped = true })
		w.settle()
		if kept := w.cluster.Kept(id); kept[3] != 1 {
			t.Errorf("after a stop, of these containers by rollout: %v", kept)
		}
		w.cluster.Refuse = func(call string) error {
			if call == "keep logs" {
				return errors.New("the disk is full")
			}
			return nil
		}
		w.remove("shop")
		w.settle()
		if kept := w.cluster.Kept(id); len(kept) != 0 || len(w.cluster.State().Services) != 0 {
			t.Errorf("after its removal, of these containers by rollout: %v", kept)
		}
	})
}
