package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/service"
	"havre/internal/spec"
)

func lines(all []api.Difference) []string {
	side := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	var words []string
	for _, d := range all {
		words = append(words, fmt.Sprintf("%s: %s -> %s", d.Field, side(d.Old), side(d.New)))
	}
	return words
}

func TestDifferencesAreNamedFieldByField(t *testing.T) {
	had := &project.Rollout{Spec: app("web", "app:1", projecttest.Port(80, 8080)), Image: service.Image{ID: "sha256:a"}}
	next := &project.Rollout{Spec: app("web", "app:2", projecttest.Port(80, 8081), count(0)), Image: service.Image{ID: "sha256:b"}}
	had.Spec.Environment = map[string]string{"A": "1", "DB_PASSWORD": "old", "api_key": "k", "GONE": "x", "SAME_TOKEN": "s", "KEYBOARD": "de"}
	next.Spec.Environment = map[string]string{"A": "", "DB_PASSWORD": "new", "SAME_TOKEN": "s", "NEW": "n", "KEYBOARD": "fr"}
	next.Spec.Command = []string{"run", "-v"}
	next.Spec.Limits.Memory = 1 << 20
	had.Spec.Init = true
	next.Files = []spec.File{{Name: "a.conf", Content: []byte("secret text"), Mode: 0o440}}
	got := lines(deploy.Compare(had, next, false))
	want := []string{
		"image: app:1 -> app:2", "image id: sha256:a -> sha256:b", `command: - -> ["run","-v"]`,
		"environment.A: 1 -> ", "environment.DB_PASSWORD: (hidden) -> (hidden)", "environment.GONE: x -> -", "environment.KEYBOARD: de -> fr",
		"environment.NEW: - -> n", "environment.api_key: (hidden) -> -",
		"ports: 8080->80/tcp public -> 8081->80/tcp public", "replicas: 1 -> 0", `limits: - -> {"memory":1048576}`, "init: true -> -",
	}
	if len(got) == 0 || !slices.Equal(got[:len(got)-1], want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if last := got[len(got)-1]; !strings.HasPrefix(last, "files.a.conf: - -> 11 bytes, mode 0440, sha256 ") || strings.Contains(last, "secret") {
		t.Errorf("a file: %s", last)
	}
	if shown := lines(deploy.Compare(had, next, true)); !slices.Contains(shown, "environment.DB_PASSWORD: old -> new") {
		t.Errorf("got %q", shown)
	}
	if alike := deploy.Compare(had, had, false); len(alike) != 0 {
		t.Errorf("got %q", lines(alike))
	}
}

func TestDiffChoosesTheNewestAndTheOneBefore(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", variable("V", "1")))
		_, err := w.Diff(t.Context(), target("web"), api.DiffOptions{})
		w.conflict("there is no rollout before r1", err)
		w.must("shop", app("web", "good", variable("V", "2")))
		w.must("shop", app("web", "good", variable("V", "3")))
		for o, want := range map[api.DiffOptions]string{
			{}:               "2 3 [environment.V: 2 -> 3]",
			{From: 1}:        "1 3 [environment.V: 1 -> 3]",
			{To: 2}:          "1 2 [environment.V: 1 -> 2]",
			{From: 3, To: 1}: "3 1 [environment.V: 3 -> 1]",
		} {
			d, err := w.Diff(t.Context(), target("web"), o)
			if got := fmt.Sprint(d.From, " ", d.To, " ", lines(d.Fields)); err != nil || got != want || d.Service != "prod.shop.web" {
				t.Errorf("%+v: %s, %v; want %s", o, got, err, want)
			}
		}
		if _, err := w.Diff(t.Context(), target("web"), api.DiffOptions{From: 7}); problem.KindOf(err) != problem.NotFound {
			t.Errorf("got %v", err)
		}
	})
}

// After a failed update what counts is what serves.
func TestHistoryAndDiffCompareWithWhatServed(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", variable("V", "1")))
		if _, err := w.apply("shop", app("web", "crash", variable("V", "2"))); err == nil {
			t.Fatal("it runs")
		}
		w.must("shop", app("web", "good", variable("V", "3")))
		all, err := w.History(t.Context(), target("web"))
		if err != nil || len(all) != 3 || !slices.Equal(all[0].Changes, []string{"environment"}) || !slices.Equal(all[1].Changes, []string{"image", "environment", "image content"}) {
			t.Errorf("%+v, %v", all, err)
		}
		for o, want := range map[api.DiffOptions]string{{}: "1 3", {To: 2}: "1 2", {From: 2}: "2 3"} {
			d, err := w.Diff(t.Context(), target("web"), o)
			if got := fmt.Sprint(d.From, " ", d.To); err != nil || got != want {
				t.Errorf("%+v: %s, %v; want %s", o, got, err, want)
			}
		}
	})
}
