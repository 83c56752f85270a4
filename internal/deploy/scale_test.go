package deploy_test

import (
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/project/projecttest"
)

// scale scales, and gives the plan that was reported.
func (w *world) scale(name string, n int) (plan api.Plan, err error) {
	err = w.Scale(w.t.Context(), target(name), n, func(p api.Progress) {
		if p.Plan != nil {
			plan = *p.Plan
		}
	})
	return plan, err
}

func TestScaleWaitsForExactlyAsMany(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 0)))
		time.Sleep(time.Hour)
		for _, n := range []int{3, 1, 0, 0, 2} {
			began := time.Now()
			if _, err := w.scale("web", n); err != nil {
				t.Errorf("to %d: %v", n, err)
			}
			st, err := w.Find(t.Context(), target("web"))
			live := 0
			for _, task := range st.Tasks {
				if task.State == "running" {
					live++
				}
			}
			if err != nil || st.Replicas != n || live != n || st.Rollout != 1 || time.Since(began) > 30*time.Second {
				t.Errorf("%d: %d run, after %s: %+v, %v", n, live, time.Since(began), st, err)
			}
		}
		r := w.record("shop")
		if d := r.Service("web").Rollout(1).Declared; r.Declared.Services[0].Replicas != 2 || d.Replicas != 2 {
			t.Errorf("declared %+v, %+v", r.Declared, d)
		}
		p, err := w.Plan(t.Context(), api.Apply{Project: shop(app("web", "good", projecttest.Port(80, 0)))})
		if err != nil || verbs(p) != "scale web replicas" {
			t.Errorf("a file that says 1: %s, %v", verbs(p), err)
		}
	})
}

func TestScaleRefusesWhatCannotBe(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		if _, err := w.scale("web", -1); problem.KindOf(err) != problem.Invalid {
			t.Errorf("got %v", err)
		}
		_, err := w.scale("web", deploy.MostReplicas+1)
		if problem.KindOf(err) != problem.Denied || problem.Of(err).Rule != "amount" {
			t.Errorf("got %v", err)
		}
		if _, err := w.scale("db", 1); problem.KindOf(err) != problem.NotFound {
			t.Errorf("got %v", err)
		}
		if n := w.record("shop").Service("web").Rollout(1).Spec.Replicas; n != 1 {
			t.Errorf("and yet %d", n)
		}
	})
}

func TestScaleWarnsOfSharedData(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "data"))
		plan, err := w.scale("db", 2)
		if err != nil || verbs(plan) != "scale db replicas 1 -> 2" || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0].Says, "the 2 containers of db share its volumes (db.data)") {
			t.Errorf("%+v, %v", plan, err)
		}
		if plan, err := w.scale("db", 2); err != nil || !plan.Nothing() || len(plan.Notes) != 0 {
			t.Errorf("once more: %+v, %v", plan, err)
		}
		p, err := w.Plan(t.Context(), api.Apply{Project: shop(app("db", "data", count(3)))})
		if err != nil || len(p.Notes) != 1 {
			t.Errorf("a plan: %+v, %v", p, err)
		}
	})
}

func TestScaleOfOneWhoseUpdateFailedIsDone(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		if _, err := w.apply("shop", app("web", "crash")); err == nil {
			t.Fatal("it runs")
		}
		if _, err := w.scale("web", 2); err != nil {
			t.Error(err)
		}
		if err := w.Stop(t.Context(), target("web"), none); err != nil {
			t.Fatal(err)
		}
		if _, err := w.scale("web", 3); err != nil || !w.record("shop").Service("web").Stopped {
			t.Errorf("of one that was stopped: %v", err)
		}
	})
}
