package project_test

import (
	"context"
	"slices"
	"strings"
	"testing"

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

func TestPullThatFailsRemembersNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		h := pulling(w)
		w.must("shop", app("web", "good"))
		before, _ := w.records.Projects(t.Context())
		_, err := w.apply("shop", app("web", "gone"), app("db", "lost"))
		after, _ := w.records.Projects(t.Context())
		if err == nil || !strings.Contains(err.Error(), "service web: pull image gone") || !strings.Contains(err.Error(), "service db: pull image lost") {
			t.Errorf("error = %v", err)
		}
		if len(after) != 1 || len(after[0].Services) != 1 || after[0].Services[0].Target != before[0].Services[0].Target {
			t.Errorf("it remembers %+v", after)
		}
		h.pulled = nil
		w.fails(problem.NotFound, "never to be pulled", with(app("web", "gone"), spec.PullNever))
		w.fails(problem.Conflict, "is taken by exim4", func() spec.Service { w.cluster.Hold(25, "exim4"); return app("web", "far", port(25, 25)) }())
		w.Registry, w.Offline = nil, true
		w.fails(problem.NotFound, "offline", app("web", "gone"))
		if len(h.pulled) != 0 {
			t.Errorf("it pulled %q", h.pulled)
		}
	})
}
