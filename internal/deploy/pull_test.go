package deploy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project/projecttest"
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
		if s := r.Service("web"); len(r.Services) != 3 || len(r.Declared.Services) != 2 || s.Target != before.Target || s.Active != before.Active || r.Declared.Services[1].Image != "good" {
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
		w.why("db", "rollout r1 failed: pull image lost: manifest unknown", "mend it and apply again", "")
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
		w.fails(problem.Conflict, "is taken by exim4", func() spec.Service { w.cluster.Hold(25, "exim4"); return app("web", "far", projecttest.Port(25, 25)) }())
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

func TestFirstPullThatFailsIsRemembered(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		pulling(w)
		vain := func() {
			t.Helper()
			if _, err := w.apply("shop", app("web", "gone", projecttest.Port(80, 8080)), app("db", "good")); problem.KindOf(err) != problem.Failed {
				t.Errorf("error = %v", err)
			}
		}
		vain()
		w.why("web", "rollout r1 failed: pull image gone: manifest unknown", "mend it and apply again", "")
		vain()
		if got := w.history("web"); got != "r2 failed; r1 failed" {
			t.Errorf("history: %s", got)
		}
		if r := w.record("shop"); len(r.Services) != 1 || len(r.Declared.Services) != 0 || len(w.cluster.State().Services)+len(w.cluster.State().Networks) != 0 {
			t.Errorf("%+v is remembered, and there are %+v", r, w.cluster.State())
		}
		if err := w.Start(t.Context(), target("web"), func(api.Progress) {}); problem.KindOf(err) != problem.Failed || !strings.Contains(err.Error(), "manifest unknown") {
			t.Errorf("start: %v", err)
		}
		w.must("shop", app("web", "good", projecttest.Port(80, 8080)), app("db", "good"))
		if got := w.history("web"); got != "r3 active good; r2 failed; r1 failed" {
			t.Errorf("history: %s", got)
		}
	})
}

func TestFirstPullThatFailsIsForgottenWithItsProject(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		pulling(w)
		for _, name := range []string{"good", "gone"} { // of what was removed before, too
			if _, err := w.apply("shop", app("web", name)); (err != nil) != (name == "gone") {
				t.Fatal(err)
			}
			if _, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{Volumes: true}); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := w.Records.Projects(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%+v is remembered, %v", all, err)
		}
	})
}

// What was removed and has not gone yet goes, though it is asked for again in
// vain meanwhile.
func TestPullThatFailsLeavesNothingOfWhatWasRemoved(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		pulling(w)
		w.must("shop", app("web", "good"), app("db", "good"))
		w.cluster.Refusing(func(call string) error {
			if call == "remove" {
				return problem.New(problem.Unavailable, "the engine is busy")
			}
			return nil
		})
		w.must("shop", app("db", "good"))
		if _, err := w.apply("shop", app("web", "gone"), app("db", "good")); problem.KindOf(err) != problem.Failed {
			t.Errorf("error = %v", err)
		}
		if n := len(w.cluster.State().Services); n != 2 {
			t.Fatalf("%d services are there, and none was to go yet", n)
		}
		w.cluster.Refusing(nil)
		w.quiet()
		w.has("services", len(w.cluster.State().Services), 1)
		w.why("web", "rollout r2 failed: pull image gone: manifest unknown", "mend it and apply again", "")
	})
}
