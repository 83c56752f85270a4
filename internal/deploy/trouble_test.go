package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"havre/internal/reconcile/reconciletest"
)

// What crashes rests; who asks for it once more does not want to wait.
func TestStartEndsARest(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, _ = w.apply("shop", app("web", "crash")) // it fails, as it should
		time.Sleep(2 * time.Minute)
		before := w.record("shop").Service("web").Current().Trouble
		if !before.Resting() {
			t.Fatalf("it has %+v", before)
		}
		st, err := w.Find(t.Context(), target("web"))
		if err != nil || st.State != "failing" || st.Trouble == nil || st.Trouble.Crashes != before.Crashes || st.Restarts < before.Crashes || !strings.Contains(st.Says, "it rests and is tried again at 2000-01-01 ") {
			t.Errorf("it is %+v, %v", st, err)
		}
		if err := w.Start(t.Context(), target("web"), none); err == nil || !strings.Contains(err.Error(), "it exited with code 3") {
			t.Errorf("start ends with %v", err)
		}
		after := w.record("shop").Service("web").Current().Trouble
		if after == nil || !after.Since.After(before.Since) || after.Crashes >= before.Crashes {
			t.Errorf("it has %+v, and had %+v", after, before)
		}
	})
}

// A restart of what rests fails like it; nobody is told that something serves.
func TestWhoFallsBackToWhatRestsIsToldSo(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "late"))
		time.Sleep(5 * time.Minute)
		cur := w.record("shop").Service("web").Current()
		if cur.Number != 1 || cur.Trouble == nil || cur.Trouble.Rests == 0 {
			t.Fatalf("it has %+v", cur.Trouble)
		}
		_, err := w.apply("shop", app("web", "crash"))
		if err == nil || strings.Contains(err.Error(), "serves on") != !w.record("shop").Service("web").Current().Trouble.Resting() {
			t.Errorf("apply ends with %v, and the former one has %+v", err, w.record("shop").Service("web").Current().Trouble)
		}
	})
}

// It never rests, for its rest would be the healthy one's, too: so people have
// to be told which one it is, how often it crashed, and that the others serve.
func TestOneOfSeveralThatCrashesIsToldApart(t *testing.T) {
	for says, lives := range map[string]time.Duration{"at once": time.Second, "after a while": 20 * time.Second} {
		t.Run(says, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				w.must("shop", app("web", "good", count(3)))
				w.cluster.Change("sha256:good", reconciletest.App{Lives: lives, Exit: 3, Slot: 2, Says: []string{"no database"}})
				time.Sleep(3 * time.Minute)
				w.loop.Poke() // as the engine's events do
				time.Sleep(200 * time.Millisecond)
				st, err := w.Find(t.Context(), target("web"))
				if err != nil {
					t.Fatal(err)
				}
				if st.State != "failing" || st.Healthy < 2 || st.Trouble == nil || st.Trouble.Crashes < 5 || w.record("shop").Service("web").Current().Trouble.Resting() {
					t.Errorf("it is %+v", st)
				}
				why := w.why("web", "fails: container 2 of 3 ends again and again, ", "havre logs prod.shop.web", "no database")
				for _, want := range []string{fmt.Sprintf("%d times since 2000-01-01 ", st.Trouble.Crashes), "because it exited with code 3", "it does not rest, because others are healthy"} {
					if !strings.Contains(why.Says, want) || !strings.Contains(st.Says, want) {
						t.Errorf("it says %q and %q; want %q", why.Says, st.Says, want)
					}
				}
			})
		})
	}
}
