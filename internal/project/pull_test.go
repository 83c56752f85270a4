package project_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// hub has what is asked for, but for what is called gone.
type hub struct {
	w      *world
	pulled []string
}

// hubImages lacks whatever the hub has not given yet.
type hubImages struct{ *hub }

func (i hubImages) Image(ctx context.Context, environment, name string) (service.Image, error) {
	if name == "far" && !slices.Contains(i.pulled, "far") || name == "gone" || name == "lost" {
		return service.Image{}, problem.New(problem.NotFound, "no image %s", name)
	}
	if name == "far" {
		name = "good"
	}
	return i.w.cluster.Image(ctx, environment, name)
}

func (h *hub) PullImage(ctx context.Context, environment, name string, progress func(string)) (service.Image, error) {
	h.pulled = append(h.pulled, name)
	if name == "gone" || name == "lost" {
		return service.Image{}, problem.New(problem.Failed, "pull image %s: manifest unknown", name).With("look at the name")
	}
	progress("layer: Pull complete")
	return hubImages{h}.Image(ctx, environment, name)
}

func pulling(w *world) *hub {
	h := &hub{w: w}
	w.Images, w.Registry = hubImages{h}, h
	return h
}

func with(s spec.Service, p spec.Pull) spec.Service {
	s.Pull = p
	return s
}

func TestApplyPullsWhatTheEnvironmentLacksBeforeItBegins(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		h := pulling(w)
		p, err := w.Plan(t.Context(), api.Apply{Project: shop(app("web", "far"))})
		if err != nil || len(p.Notes) != 1 || !strings.Contains(p.Notes[0].Says, "image far is pulled") || len(h.pulled) != 0 {
			t.Errorf("the plan is %+v, %v, and pulled %q", p, err, h.pulled)
		}
		told := w.must("shop", app("web", "far"), app("two", "far"), app("db", "good"))
		if len(told) < 3 || told[0].Line != "pulling image far" || told[1].Line != "layer: Pull complete" || told[2].Plan == nil || !slices.Equal(h.pulled, []string{"far"}) {
			t.Errorf("it pulled %q and told %+v", h.pulled, told)
		}
		w.must("shop", app("web", "far"), app("two", "far"), app("db", "good"))
		if !slices.Equal(h.pulled, []string{"far"}) {
			t.Errorf("what is there was pulled again: %q", h.pulled)
		}
		w.must("shop", with(app("web", "far"), spec.PullAlways), app("two", "far"), app("db", "good"))
		if !slices.Equal(h.pulled, []string{"far", "far"}) {
			t.Errorf("always pulled %q", h.pulled)
		}
	})
}

func TestPullThatFailsIsRememberedAndChangesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		pulling(w)
		w.must("shop", app("web", "good"), app("two", "good"))
		before := *w.record("shop").Service("web")
		_, err := w.apply("shop", app("web", "gone"), app("two", "gone"), app("db", "lost"))
		if err == nil || !strings.Contains(err.Error(), "service web: pull image gone") || !strings.Contains(err.Error(), "service db: pull image lost") {
			t.Errorf("error = %v", err)
		}
		r := w.record("shop")
		if s := r.Service("web"); len(r.Services) != 2 || s.Target != before.Target || s.Active != before.Active || r.Declared.Services[1].Image != "good" {
			t.Errorf("it remembers %+v", r)
		}
		for _, name := range []string{"web", "two"} {
			if got := w.history(name); got != "r2 failed; r1 active good" {
				t.Errorf("history of %s: %s", name, got)
			}
		}
		if all, err := w.History(t.Context(), target("web")); err != nil || !strings.Contains(all[0].Reason, "manifest unknown") || all[0].Image != "gone" || !slices.Equal(all[0].Changes, []string{"image", "image content"}) {
			t.Errorf("history: %+v, %v", all, err)
		}
		w.why("web", "rollout r2 failed: pull image gone: manifest unknown", "", "")
		_, err = w.back("web", 2)
		w.conflict("never had its image", err)
		w.must("shop", app("web", "good"), app("two", "good")) // what runs is what is wanted after all
		w.must("shop", app("web", "better"), app("two", "good"))
		if got := w.history("web"); got != "r3 active better; r2 failed; r1 retired good" {
			t.Errorf("history: %s", got)
		}
	})
}

func TestPullThatFailsLeavesAnUpdateOnItsWayAlone(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		pulling(w)
		w.must("shop", app("web", "good"))
		slow := make(chan error)
		go func() {
			_, err := w.apply("shop", app("web", "better"))
			slow <- err
		}()
		synctest.Wait()
		if s := w.record("shop").Service("web"); s.Target != 2 || s.Active != 1 {
			t.Fatalf("no update is on its way: %+v", s)
		}
		if _, err := w.apply("shop", app("web", "gone")); problem.KindOf(err) != problem.Failed {
			t.Errorf("error = %v", err)
		}
		if err := <-slow; err != nil {
			t.Errorf("the update on its way fails: %v", err)
		}
		if got := w.history("web"); got != "r3 failed; r2 active better; r1 retired good" {
			t.Errorf("history: %s", got)
		}
	})
}

func TestPullThatCannotBeHadRemembersNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		h := pulling(w)
		h.pulled = nil
		w.fails(problem.NotFound, "never to be pulled", with(app("web", "gone"), spec.PullNever))
		w.fails(problem.Conflict, "is taken by exim4", func() spec.Service { w.cluster.Hold(25, "exim4"); return app("web", "far", port(25, 25)) }())
		w.must("shop", app("web", "good"))
		w.Registry, w.Offline = nil, true
		p, err := w.Plan(t.Context(), api.Apply{Project: shop(with(app("web", "good"), spec.PullAlways))})
		if err != nil || len(p.Notes) != 1 || !strings.Contains(p.Notes[0].Says, "image good is not asked for") {
			t.Errorf("always, where nothing is pulled: %+v, %v", p.Notes, err)
		}
		w.fails(problem.NotFound, "offline", app("web", "gone"))
		if len(h.pulled) != 0 {
			t.Errorf("it pulled %q", h.pulled)
		}
	})
}
