package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project/projecttest"
	"havre/internal/spec"
)

func disabled(s *spec.Service) { s.Disabled = true }

func TestDisabledServiceIsDeclaredAndDoesNotRun(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 8080)), app("cron", "good", disabled))
		why, err := w.Why(t.Context(), target("cron"))
		if err != nil || why.State != "idle" || !strings.Contains(why.Says, "status: disabled") || why.Remedy != "declare it with status: enabled and apply again" {
			t.Errorf("%+v, %v", why, err)
		}
		for verb, do := range map[string]func() error{
			"start":   func() error { return w.Start(t.Context(), target("cron"), none) },
			"restart": func() error { return w.Restart(t.Context(), target("cron"), none) },
			"scale":   func() error { return w.Scale(t.Context(), target("cron"), api.Scale{Replicas: 1}, none) },
		} {
			if err := do(); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "status: disabled") {
				t.Errorf("%s: %v", verb, err)
			}
		}
		if err := w.Start(t.Context(), api.Target{Name: "shop", Project: true}, none); err != nil {
			t.Errorf("the project starts without it: %v", err)
		}
		w.quiet()
		if s := w.cluster.State().Services; len(s) != 2 || !slices.ContainsFunc(s, func(x string) bool { return strings.Contains(x, "x0: 0 run") }) {
			t.Errorf("there runs %v", s)
		}
		all := w.must("shop", app("web", "good", projecttest.Port(80, 8080)), app("cron", "good"))
		w.has("enabled", verbs(*all[0].Plan), "scale cron replicas,disabled; keep web")
		all = w.must("shop", app("web", "good", projecttest.Port(80, 8080), disabled), app("cron", "good"))
		w.has("disabled", verbs(*all[0].Plan), "keep cron; scale web replicas,disabled")
		if r := w.cluster.State().Routes; len(r) != 0 {
			t.Errorf("a disabled service has the routes %v", r)
		}
	})
}

func TestServiceThatNeedsADisabledOneSaysSo(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.fails(problem.Failed, "it waits for db to be started, and db is idle", app("web", "good", needs("db", spec.Started)), app("db", "good", disabled))
	})
}

// Seed 004: wordpress starts mysql.
func TestStartTakesAlongWhatItNeedsInOrder(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"), app("cache", "good"))
		w.must("shop",
			app("web", "good", needs("db", spec.Healthy), link("mail", ""), link("store/db", "other")),
			app("db", "good", link("attic", "")), app("attic", "good"), app("mail", "good", priority(5)), app("cron", "good"), app("off", "good", disabled))
		for _, name := range []string{"shop", "store"} {
			if err := w.Stop(t.Context(), api.Target{Name: name, Project: true}, none); err != nil {
				t.Fatal(err)
			}
		}
		var told []string
		err := w.Start(t.Context(), target("web"), func(p api.Progress) { told = append(told, p.Service.Name+" "+p.Service.State) })
		if err != nil {
			t.Fatal(err)
		}
		at := func(what string) int { return slices.Index(told, what) }
		for _, after := range [][2]string{{"attic healthy", "db starting"}, {"db healthy", "web starting"}, {"mail healthy", "web starting"}, {"web waiting", "web starting"}} {
			if at(after[0]) < 0 || at(after[0]) > at(after[1]) {
				t.Errorf("%s comes after %s: %v", after[0], after[1], told)
			}
		}
		for _, name := range []string{"cron", "cache"} {
			if s, err := w.Find(t.Context(), target(name)); err != nil || s.State != "stopped" {
				t.Errorf("%s is %s, %v", name, s.State, err)
			}
		}
		if s, err := w.Find(t.Context(), target("store.db")); err != nil || s.State == "stopped" {
			t.Errorf("store.db is %s, %v", s.State, err)
		}
	})
}

// What was started together waits; what a reboot brings back does not.
func TestStartedOnesWaitOnlyForEachOther(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		ill := app("db", "good")
		w.must("shop", app("web", "good", needs("db", spec.Healthy)), ill)
		w.cluster.Change("sha256:good", w.cluster.App("sha256:deaf"))
		w.cluster.Lose("services")
		time.Sleep(30 * time.Second)
		if s := w.cluster.State().Services; len(s) != 2 || strings.Contains(strings.Join(s, " "), "x0") {
			t.Errorf("there runs %v", s)
		}
	})
}
