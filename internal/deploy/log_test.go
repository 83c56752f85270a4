package deploy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// book is a logbook of pages that say their container's name.
type book []project.Page

func (b book) Pages(_ context.Context, s spec.ServiceID, rollout int) ([]project.Page, error) {
	return slices.DeleteFunc(slices.Clone(b), func(p project.Page) bool { return p.Service != s || p.Rollout != rollout }), nil
}

func (b book) Read(_ context.Context, p project.Page, _ project.Reading, yield func(api.Line) error) error {
	return yield(api.Line{Time: p.Written, Text: "kept " + p.Container})
}

func TestKeptLinesStandInForContainersThatAreGone(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		w.must("shop", app("web", "better"))
		time.Sleep(time.Minute)
		here, err := w.Containers(t.Context(), target("web"), true)
		if err != nil || len(here) != 1 {
			t.Fatalf("%+v, %v", here, err)
		}
		id := w.record("shop").Service("web").ID
		w.Logbook = book{
			{Service: id, Rollout: 1, Container: "first", Written: time.Now().Add(-time.Hour)},
			{Service: id, Rollout: 2, Container: "second", Written: time.Now().Add(-time.Minute)},
			{Service: id, Rollout: 2, Container: here[0].ID},
		}
		live := func(_ context.Context, container string, _ project.Reading, yield func(api.Line) error) error {
			return yield(api.Line{Time: time.Now(), Text: "live"})
		}
		read := func(tg api.Target, o api.LogOptions) (string, error) {
			var got []string
			err := w.Logs(t.Context(), tg, o, live, func(l api.Line) error {
				got = append(got, l.Service+": "+l.Text)
				return nil
			})
			return strings.Join(got, ", "), err
		}
		whole := api.Target{Name: "shop", Project: true}
		for _, c := range []struct {
			target  api.Target
			rollout int
			want    string
			kind    problem.Kind
		}{
			{target("web"), 0, "web: kept second, web: live", ""},
			{whole, 0, "web: kept second, web: live", ""},
			{target("web"), 1, "web: kept first", ""},
			{target("web"), 2, "web: kept second, web: live", ""},
			{target("web"), 3, "", problem.NotFound},
			{whole, 1, "", problem.Invalid},
		} {
			got, err := read(c.target, api.LogOptions{Rollout: c.rollout})
			if got != c.want || (err != nil) != (c.kind != "") || err != nil && problem.KindOf(err) != c.kind {
				t.Errorf("r%d of %s: %s, %v", c.rollout, c.target.Name, got, err)
			}
		}
		w.Logbook = nil
		if got, err := read(target("web"), api.LogOptions{Rollout: 1}); problem.KindOf(err) != problem.NotFound {
			t.Errorf("when nothing is kept: %s, %v", got, err)
		}
		if err := w.Stop(t.Context(), target("web"), none); err != nil {
			t.Fatal(err)
		}
		if got, err := read(target("web"), api.LogOptions{}); err != nil {
			t.Errorf("of a service that is down: %s, %v", got, err)
		}
	})
}
