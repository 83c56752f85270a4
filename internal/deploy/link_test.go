package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/spec"
)

func link(to, alias string) func(*spec.Service) {
	return func(s *spec.Service) { s.Links = append(s.Links, spec.Link{To: to, Alias: alias}) }
}

func priority(n int) func(*spec.Service) { return func(s *spec.Service) { s.Priority = n } }

func exposes(ports ...uint16) func(*spec.Service) {
	return func(s *spec.Service) { s.Expose = ports }
}

// networks are those of the cluster, with names for ids.
func (w *world) networks() []string {
	w.t.Helper()
	records, err := w.records.Projects(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, r := range records {
		ids = append(ids, string(r.ID), r.Name)
		for _, s := range r.Services {
			ids = append(ids, string(s.ID), s.Name)
		}
	}
	names := strings.NewReplacer(ids...)
	var all []string
	for _, n := range w.cluster.State().Networks {
		all = append(all, names.Replace(n))
	}
	slices.Sort(all)
	return all
}

// quiet waits until the loop has nothing left to do.
func (w *world) quiet() {
	w.t.Helper()
	time.Sleep(2 * time.Minute)
}

func (w *world) has(what string, got, want any) {
	w.t.Helper()
	if g, e := fmt.Sprint(got), fmt.Sprint(want); g != e {
		w.t.Errorf("%s: %s; want %s", what, g, e)
	}
}

func TestLinkToAnotherProjectIsANetworkOfItsTwoEnds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good", exposes(5432)), app("cache", "good"))
		all := w.must("shop", app("web", "good", link("STORE/db", "database")), app("cron", "good"))
		if notes := all[0].Plan.Notes; len(notes) != 1 || !strings.Contains(notes[0].Says, "store.db gets new containers") {
			t.Errorf("the plan says %v", notes)
		}
		w.has("networks", w.networks(), "[prod/shop prod/shop to store/db prod/store]")
		shop, store := w.record("shop"), w.record("store")
		web, db := shop.Service("web").Rollout(1), store.Service("db")
		w.has("rollouts of db", []int{db.Active, db.Target, db.Last()}, []int{2, 2, 2})
		w.has("ends of db", db.Rollout(2).Joins[0].Aliases, []string{"database"})
		w.has("rollouts of cache", store.Service("cache").Last(), 1)
		w.has("ends of cron", len(shop.Service("cron").Rollout(1).Joins), 0)
		w.has("variables", web.Spec.Environment["DATABASE_PORT_5432_TCP_ADDR"]+" "+web.Spec.Environment["DATABASE_PORT"], "database tcp://database:5432")
		if slices.Contains([]string{shop.Subnet, store.Subnet}, shop.Links[0].Subnet) || shop.Links[0].To != "store/db" {
			t.Errorf("its network is %v", shop.Links)
		}
		again := w.must("shop", app("web", "good", link("store/db", "database")), app("cron", "good"))
		w.has("applied again", verbs(*again[0].Plan), "keep cron; keep web")
		w.quiet()
		w.has("then", w.record("store").Service("db").Last(), 2)
	})
}

func TestLinkNetworkGoesWithTheLastLink(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"))
		w.must("shop", app("web", "good", link("store/db", "")), app("cron", "good", link("store/db", "")))
		w.must("shop", app("web", "good"), app("cron", "good", link("store/db", "")))
		w.quiet()
		w.has("one link is left", w.networks(), "[prod/shop prod/shop to store/db prod/store]")
		w.must("shop", app("web", "good"), app("cron", "good"))
		w.quiet()
		w.has("none is left", w.networks(), "[prod/shop prod/store]")
		w.has("ends of db", len(w.record("store").Service("db").Rollout(w.record("store").Service("db").Active).Joins), 0)
	})
}

func TestLinkNetworkGoesWithTheProject(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"))
		w.must("shop", app("web", "good", link("store/db", "")))
		if _, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		w.quiet()
		w.has("networks", w.networks(), "[prod/store]")
		if _, err := w.Remove(t.Context(), api.Target{Name: "store", Project: true}, api.Removal{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		if s := w.cluster.State(); len(s.Services)+len(s.Networks)+len(s.Portals) != 0 {
			t.Errorf("there is %+v", s)
		}
	})
}

// A database is not stopped only because nobody links to it any more.
func TestTargetThatWritesLeavesTheLinkWithItsNextRollout(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "data"))
		all := w.must("shop", app("web", "good", link("store/db", "")))
		if notes := all[0].Plan.Notes; len(notes) != 1 || !strings.Contains(notes[0].Remedy, "stops for a moment") {
			t.Errorf("the plan says %v", notes)
		}
		w.must("shop", app("web", "good"))
		w.quiet()
		w.has("meanwhile", w.networks(), "[prod/shop prod/shop to store/db prod/store]")
		w.has("rollouts", w.record("store").Service("db").Last(), 2)
		if err := w.Restart(t.Context(), target("db"), none); err != nil {
			t.Fatal(err)
		}
		w.quiet()
		w.has("after a restart", w.networks(), "[prod/shop prod/store]")
	})
}

func TestLinkNeedsATargetInItsEnvironment(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.fails(problem.NotFound, "web links to store/db, and there is no such service", app("web", "good", link("store/db", "")))
		if err := w.Apply(t.Context(), api.Apply{Environment: "test", Project: spec.Project{Name: "store", Services: []spec.Service{app("db", "good")}}}, none); err != nil {
			t.Fatal(err)
		}
		w.fails(problem.Denied, "links do not leave their environment", app("web", "good", link("store/db", "")))
		w.has("networks", w.networks(), "[test/store]")
	})
}

// A project stands in each environment by the same name, as they mostly do.
func TestLinksOfTwoEnvironmentsDoNotMeet(t *testing.T) {
	for _, environment := range []string{"prod", "test"} {
		in(t, func(t *testing.T, w *world) {
			apply := func(environment, project string, s spec.Service) {
				if err := w.Apply(t.Context(), api.Apply{Environment: environment, Project: spec.Project{Name: project, Services: []spec.Service{s}}}, none); err != nil {
					t.Fatal(err)
				}
			}
			apply("prod", "store", app("db", "good"))
			apply("test", "store", app("db", "good"))
			apply(environment, "shop", app("web", "good", link("store/db", "")))
			w.quiet()
			records, err := w.records.Projects(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				s := r.Services[0]
				if linked := len(s.Rollout(s.Active).Joins) > 0; linked != (r.Environment == environment) {
					t.Errorf("%s.%s.%s is linked: %v", r.Environment, r.Name, s.Name, linked)
				}
			}
		})
	}
}

func TestTargetOfALinkStays(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"), app("cache", "good"))
		w.must("shop", app("web", "good", link("store/db", "database")))
		for _, gone := range []api.Target{target("db"), {Name: "store", Project: true}} {
			if _, err := w.Remove(t.Context(), gone, api.Removal{}); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "shop.web links to prod.store") {
				t.Errorf("%s is removed: %v", gone.Name, err)
			}
		}
		if _, err := w.Remove(t.Context(), target("cache"), api.Removal{}); err != nil {
			t.Error(err)
		}
		if _, err := w.apply("store", app("cache", "good")); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "shop.web links to it") {
			t.Errorf("it is not declared any more: %v", err)
		}
		if _, err := w.apply("store", app("db", "good"), app("database", "good")); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "that name means database") {
			t.Errorf("the link's name comes to mean another: %v", err)
		}
	})
}

func TestTargetGoesUnderItsSourcesWhenForced(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"))
		w.must("shop", app("web", "good", link("store/db", "database")), app("cron", "good", link("store/db", "")))
		store := api.Target{Name: "store", Project: true}
		_, err := w.Remove(t.Context(), store, api.Removal{})
		if problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "shop.cron, shop.web link to prod.store") {
			t.Errorf("it is removed, or not all are named: %v", err)
		}
		done, err := w.Remove(t.Context(), store, api.Removal{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		w.has("cut off", done.Cut, []string{"shop.cron", "shop.web"})
		w.quiet()
		web := w.record("shop").Service("web")
		w.why("web", "runs: 1 of 1 containers are healthy; its link to store/db leads nowhere: that was removed", "apply project store again, or take the link out", "")
		w.has("who linked to it serves on", []int{web.Active, web.Target, web.Last()}, []int{1, 1, 1})
		w.must("store", app("db", "good"))
		w.quiet()
		if why := w.why("web", "runs", "", ""); strings.Contains(why.Says+why.Remedy, "link") {
			t.Errorf("its link leads somewhere again, and it says %+v", why)
		}
		w.has("networks", w.networks(), "[prod/shop prod/shop to store/db prod/store]")
		web = w.record("shop").Service("web")
		ends, db := web.Rollout(web.Active).Joins, w.record("store").Service("db")
		if len(ends) != 1 || ends[0].Target.Service != db.ID || len(db.Rollout(db.Active).Joins) != 1 {
			t.Errorf("they do not meet again: %v, %v", ends, db.Rollout(db.Active).Joins)
		}
	})
}

func TestWhyTellsWhoFailsOfItsSeveredLink(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"))
		w.must("shop", app("web", "good", link("store/db", "database")))
		if _, err := w.Remove(t.Context(), target("db"), api.Removal{Force: true}); err != nil {
			t.Fatal(err)
		}
		w.cluster.Change("sha256:good", reconciletest.App{Lives: time.Second, Exit: 3, Says: []string{"no database"}})
		w.cluster.Kill(w.record("shop").Service("web").ID)
		w.quiet()
		w.why("web", "; its link to store/db leads nowhere: that was removed", "havre logs prod.shop.web; mend it and apply again, or try it at once: havre restart prod.shop.web; apply project store again", "no database")
		if err := w.Stop(t.Context(), target("web"), func(api.Progress) {}); err != nil {
			t.Fatal(err)
		}
		if why := w.why("web", "it was stopped", "havre start", ""); strings.Contains(why.Says, "link") {
			t.Errorf("it is stopped, and says %s", why.Says)
		}
	})
}

func TestPlanSaysWhoseVariablesNameFormerPorts(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good", exposes(5432)))
		w.must("shop", app("web", "good", link("store/db", "database")))
		for range 2 { // until it was renewed
			all := w.must("store", app("db", "good", exposes(5433)))
			if notes := all[0].Plan.Notes; len(notes) != 1 || !strings.Contains(notes[0].Says, "shop.web was told by variables that store/db has the ports 5432, and it has 5433 now") {
				t.Errorf("the plan says %v", notes)
			}
		}
		all := w.must("shop", app("web", "good", link("store/db", "database")))
		w.has("applied again", verbs(*all[0].Plan), "update web environment")
		if notes := w.must("store", app("db", "good", exposes(5433)))[0].Plan.Notes; len(notes) != 0 {
			t.Errorf("the plan still says %v", notes)
		}
	})
}

func TestNamesOfLinksMeanOneService(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"), app("cache", "good"))
		w.fails(problem.Invalid, "db would mean both db and store/db", app("db", "good"), app("web", "good", link("store/db", "")))
		w.fails(problem.Invalid, "X would mean both store/db and store/cache", app("web", "good", link("store/db", "x")), app("cron", "good", link("store/cache", "X")))
		w.fails(problem.Conflict, "a link calls store/db cache, and in project store that name means cache", app("web", "good", link("store/db", "cache")))
		w.fails(problem.Invalid, "is of this very project", app("web", "good", link("shop/web", "")))
	})
}

func TestProjectsMayLinkToEachOther(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"))
		w.must("shop", app("web", "good", link("store/db", "")))
		w.must("store", app("db", "good", link("shop/web", "front")))
		w.quiet()
		w.has("networks", w.networks(), "[prod/shop prod/shop to store/db prod/store prod/store to shop/web]")
		if err := w.Restart(t.Context(), api.Target{Name: "store", Project: true}, none); err != nil {
			t.Fatal(err)
		}
		if err := w.Restart(t.Context(), api.Target{Name: "shop", Project: true}, none); err != nil {
			t.Fatal(err)
		}
		web, db := w.record("shop").Service("web"), w.record("store").Service("db")
		w.has("ends", []int{len(web.Rollout(web.Active).Joins), len(db.Rollout(db.Active).Joins)}, "[2 2]")
	})
}

// What cannot get to the link's network holds its source up, and says so.
func TestSourceOfALinkWaitsForItsTarget(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "good"))
		broken := w.cluster.App("sha256:good")
		w.cluster.Change("sha256:good", w.cluster.App("sha256:crash"))
		_, err := w.apply("shop", app("web", "better", link("store/db", "")))
		if err == nil || !strings.Contains(err.Error(), "it waits for store.db to be on the network of the link, and r2 of store.db, which would be, failed") {
			t.Errorf("the apply says %v", err)
		}
		why, err := w.Why(t.Context(), target("web"))
		if err != nil || !strings.Contains(why.Says, "waits for store.db") || why.Remedy != "see why that takes so long: havre why prod.store.db" {
			t.Errorf("%+v, %v", why, err)
		}
		w.quiet()
		w.has("tries", w.record("store").Service("db").Last(), 2)
		w.cluster.Change("sha256:good", broken)
		if err := w.Restart(t.Context(), target("db"), none); err != nil {
			t.Fatal(err)
		}
		w.quiet()
		w.has("web serves", w.record("shop").Service("web").Active, 1)
	})
}

func TestLinksWithinAProjectGiveTheOrderOfStarting(t *testing.T) {
	for name, c := range map[string]struct {
		services []spec.Service
		first    string
	}{
		"a target comes before its source":        {[]spec.Service{app("a", "good", link("b", "")), app("b", "good")}, "b"},
		"in a circle priority decides":            {[]spec.Service{app("a", "good", link("b", ""), priority(2)), app("b", "good", link("a", ""), priority(1))}, "b"},
		"in a circle the other way":               {[]spec.Service{app("a", "good", link("b", ""), priority(1)), app("b", "good", link("a", ""), priority(2))}, "a"},
		"a target that fails is not waited for":   {[]spec.Service{app("a", "good", link("b", "")), app("b", "crash")}, "b"},
		"one that is not to run neither":          {[]spec.Service{app("a", "good", link("b", "")), app("b", "good", count(0))}, ""},
		"a link to itself is nothing to wait for": {[]spec.Service{app("a", "good", link("a", ""))}, ""},
		"needs come before links":                 {[]spec.Service{app("a", "good", link("b", "")), app("b", "good", needs("a", spec.Healthy))}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				_, err := w.apply("shop", c.services...)
				if failed := strings.Contains(name, "fails"); (err != nil) != failed {
					t.Error(err)
				}
				r := w.record("shop")
				var order []string
				for _, s := range r.Services {
					if s.Rollout(1).Started.IsZero() {
						t.Errorf("%s never began", s.Name)
					}
					order = append(order, s.Rollout(1).Started.Format(time.RFC3339Nano)+" "+s.Name)
				}
				slices.Sort(order)
				if c.first != "" && (len(order) < 2 || !strings.HasSuffix(order[0], " "+c.first) || order[0][:20] == order[1][:20]) {
					t.Errorf("they began %v; want %s first", order, c.first)
				}
			})
		})
	}
}

// A target that does not run is nothing to wait for, and joins when it runs.
func TestTargetThatDoesNotRunJoinsLater(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("store", app("db", "data"), app("cache", "good", count(0)))
		if err := w.Stop(t.Context(), target("db"), none); err != nil {
			t.Fatal(err)
		}
		w.must("shop", app("web", "good", link("store/db", ""), link("store/cache", "")))
		w.quiet()
		w.has("it is stopped as before", w.record("store").Service("db").Stopped, true)
		if err := w.Start(t.Context(), target("db"), none); err != nil {
			t.Fatal(err)
		}
		w.must("store", app("db", "data"), app("cache", "good"))
		w.quiet()
		for _, name := range []string{"db", "cache"} {
			s := w.record("store").Service(name)
			if s.Active != s.Target || len(s.Rollout(s.Active).Joins) != 1 {
				t.Errorf("%s serves r%d of r%d with the ends %v", name, s.Active, s.Target, s.Rollout(s.Active).Joins)
			}
		}
	})
}
