package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/project/projecttest"
)

// scale scales, and gives the plan that was reported.
func (w *world) scale(name string, n int) (plan api.Plan, err error) { return w.share(name, n, false) }

func (w *world) share(name string, n int, shared bool) (plan api.Plan, err error) {
	err = w.Scale(w.t.Context(), target(name), api.Scale{Replicas: n, Shared: shared}, func(p api.Progress) {
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

func TestSeveralWritersNeedAWord(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "data"), app("web", "good"))
		_, err := w.scale("db", 2)
		if problem.KindOf(err) != problem.Invalid || !strings.Contains(err.Error(), "2 containers of db would write to the same data (volumes: db.data)") || !strings.Contains(problem.Of(err).Remedy, "havre scale prod.shop.db=2 --shared") {
			t.Errorf("without a word: %v, %s", err, problem.Of(err).Remedy)
		}
		if n := w.record("shop").Service("db").Rollout(1).Spec.Replicas; n != 1 {
			t.Errorf("and yet %d", n)
		}
		// The volume is the image's own, so only the server knows of it.
		if _, err := w.Plan(t.Context(), api.Apply{Project: shop(app("db", "data", count(3)), app("web", "good"))}); problem.KindOf(err) != problem.Invalid || !strings.Contains(err.Error(), "3 containers of db would write") {
			t.Errorf("a file without a word: %v", err)
		}
		plan, err := w.share("db", 2, true)
		if err != nil || verbs(plan) != "scale db replicas 1 -> 2" || len(plan.Notes) != 1 || !strings.Contains(plan.Notes[0].Says, "the 2 containers of db share its volumes (db.data)") {
			t.Errorf("%+v, %v", plan, err)
		}
		if plan, err := w.scale("db", 2); err != nil || !plan.Nothing() || len(plan.Notes) != 0 {
			t.Errorf("once more: %+v, %v", plan, err)
		}
		if r := w.record("shop"); !r.Declared.Services[0].Shared || !r.Service("db").Rollout(1).Declared.Shared {
			t.Errorf("the declaration does not say so: %+v", r.Declared)
		}
	})
}

func TestPredecessorThatWritesIsNotScaledWithItsSuccessor(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "data"))
		r := w.record("shop")
		next := r.Services[0].Rollouts[0].Anew(time.Now())
		next.Number, next.Spec.Mounts, next.Spec.Image = 2, nil, "app:none"
		r.Services[0].Rollouts, r.Services[0].Target = append(r.Services[0].Rollouts, next), 2
		if err := w.Records.SaveProject(t.Context(), *r); err != nil {
			t.Fatal(err)
		}
		if _, err := w.scale("db", 2); problem.KindOf(err) != problem.Invalid {
			t.Errorf("an update that writes nothing is on its way, and r1 would come back with two: %v", err)
		}
	})
}

func TestBackAtOneNoTwoWriteAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "data"))
		if _, err := w.share("db", 3, true); err != nil {
			t.Fatal(err)
		}
		before := containers(w, "db")
		if _, err := w.scale("db", 1); err != nil {
			t.Fatal(err)
		}
		st, err := w.Find(t.Context(), target("db"))
		if err != nil || st.State != "healthy" || st.Healthy != 1 {
			t.Errorf("it is not back when the command ends: %+v, %v", st, err)
		}
		after := containers(w, "db")
		if len(before) != 3 || len(after) != 1 || slices.Contains(before, after[0]) {
			t.Errorf("%v, then %v: want a container that started when all others had stopped", before, after)
		}
	})
}

// containers are those of a service that run.
func containers(w *world, name string) (ids []string) {
	st, err := w.Find(w.t.Context(), target(name))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, task := range st.Tasks {
		if task.State == "running" {
			ids = append(ids, task.Container)
		}
	}
	return ids
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
