package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/spec"
)

// from mounts the volume data, which stands for ./data.
func from(s *spec.Service) {
	s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Volume, Source: "data", Target: "/data", From: "./data"})
}

// begin applies a project whose volume begins with a directory, and does not
// wait for it.
func (w *world) begin(ctx context.Context) (plan api.Plan, ended chan error) {
	plans, ended := make(chan api.Plan, 1), make(chan error, 1)
	want := api.Apply{
		Project: shop(app("db", "good", from), app("web", "good")),
		Fills:   []api.Fill{{Volume: "data", From: "./data", Files: 2, Bytes: 7}},
	}
	go func() {
		ended <- w.Apply(ctx, want, func(p api.Progress) {
			if p.Plan != nil {
				plans <- *p.Plan
			}
		})
	}()
	select {
	case plan = <-plans:
	case err := <-ended:
		w.t.Fatal(err)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	return plan, ended
}

func (w *world) fill(err error) error {
	return w.Fill(w.t.Context(), api.Target{Name: "shop/data"}, func(ctx context.Context, f deploy.Filling) error {
		if !f.Volume.Bare || f.Volume.Name != "data" || f.Volume.Image != "sha256:good" || !slices.Equal(f.Images, []string{"sha256:good"}) || f.Volumes[0].Source != "data" {
			w.t.Errorf("the way to it: %+v", f)
		}
		if _, _, made := w.cluster.EnsureVolume(ctx, f.Volume); made != nil {
			w.t.Error(made)
		}
		return err
	})
}

func (w *world) state(name string) api.Service {
	w.t.Helper()
	st, err := w.Find(w.t.Context(), target(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return st
}

func TestServiceStartsOnAVolumeWhenItIsFilled(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		plan, ended := w.begin(t.Context())
		if len(plan.Fills) != 1 || plan.Fills[0].From != "./data" {
			t.Errorf("planned %+v", plan)
		}
		if st := w.state("db"); st.State != "starting" || !strings.Contains(st.Says, "waits for the volume data to be filled with what ./data has") {
			t.Errorf("it has not waited: %+v", st)
		}
		if st := w.state("web"); st.State != "healthy" {
			t.Errorf("one without the volume has waited, too: %+v", st)
		}
		why, err := w.Why(t.Context(), target("db"))
		if err != nil || !strings.Contains(why.Remedy, "apply again from where the directory is") {
			t.Errorf("%+v, %v", why, err)
		}
		if err := w.fill(nil); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil || w.state("db").State != "healthy" {
			t.Errorf("%v, %+v", err, w.state("db"))
		}
		if err := w.fill(nil); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "does not wait to be filled") {
			t.Errorf("once more: %v", err)
		}
		if plan, ended := w.begin(t.Context()); len(plan.Fills) != 0 || <-ended != nil {
			t.Errorf("a second apply fills again: %+v", plan)
		}
	})
}

func TestFillingThatBrokeOffIsBegunAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		ctx, leave := context.WithCancel(t.Context())
		_, ended := w.begin(ctx)
		if err := w.fill(errors.New("the cable was pulled")); err == nil {
			t.Error("it is done")
		}
		leave()
		<-ended
		time.Sleep(time.Hour)
		if st := w.state("db"); st.State != "starting" {
			t.Errorf("it runs on half of its data: %+v", st)
		}
		plan, ended := w.begin(t.Context())
		if len(plan.Fills) != 1 {
			t.Errorf("planned %+v", plan)
		}
		if err := w.fill(nil); err != nil || <-ended != nil {
			t.Error(err)
		}
	})
}

func TestTwoDoNotFillOneVolume(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, ended := w.begin(t.Context())
		err := w.Fill(t.Context(), api.Target{Name: "shop/data"}, func(context.Context, deploy.Filling) error {
			if err := w.fill(nil); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "is being filled by somebody else") {
				t.Errorf("the second one: %v", err)
			}
			return nil
		})
		if err != nil || <-ended != nil {
			t.Error(err)
		}
	})
}

func TestVolumeThatHoldsDataIsNotFilled(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "good", from), app("web", "good"))
		if plan, ended := w.begin(t.Context()); len(plan.Fills) != 0 || <-ended != nil {
			t.Errorf("planned %+v", plan)
		}
		w.cluster.Lose("volumes")
		if plan, _ := w.begin(t.Context()); len(plan.Fills) != 0 {
			t.Errorf("one that is gone under a service is made anew: %+v", plan)
		}
	})
}

func TestNobodyWaitsForEverForWhatNobodySends(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		began := time.Now()
		_, ended := w.begin(t.Context())
		err := <-ended
		if problem.KindOf(err) != problem.Failed || !strings.Contains(err.Error(), "it waits for the volume data to be filled with what ./data has, and nobody sends it") || time.Since(began) > 6*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		_, ended = w.begin(t.Context())
		err = w.Fill(t.Context(), api.Target{Name: "shop/data"}, func(ctx context.Context, f deploy.Filling) error {
			time.Sleep(time.Hour) // much to send
			_, _, err := w.cluster.EnsureVolume(ctx, f.Volume)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("while it is sent: %v", err)
		}
	})
}
