package project_test

import (
	"strings"
	"testing"
	"time"
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
