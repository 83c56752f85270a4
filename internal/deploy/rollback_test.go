package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/service"
	"havre/internal/spec"
)

// byID finds images by name and, as the engine does, by id. Names can move.
type byID struct {
	*reconciletest.Cluster
	moved map[string]string
	gone  map[string]bool
}

func (b byID) Image(ctx context.Context, environment, name string) (service.Image, error) {
	if b.gone[name] {
		return service.Image{}, problem.New(problem.NotFound, "no image %s", name)
	}
	if to, there := b.moved[name]; there {
		name = to
	}
	return b.Cluster.Image(ctx, environment, strings.TrimPrefix(name, "sha256:"))
}

func (w *world) images() byID {
	b := byID{w.cluster, map[string]string{}, map[string]bool{}}
	w.Images = b
	return b
}

// back rolls back, and gives the plan that was reported.
func (w *world) back(name string, to int) (api.Plan, error) {
	var plan api.Plan
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	err := w.Rollback(ctx, target(name), to, func(p api.Progress) {
		if p.Plan != nil {
			plan = *p.Plan
		}
	})
	return plan, err
}

// history writes rollouts in short: "r2 active better; r1 retired good".
func (w *world) history(name string) string {
	w.t.Helper()
	all, err := w.History(w.t.Context(), target(name))
	if err != nil {
		w.t.Fatal(err)
	}
	var words []string
	for _, r := range all {
		words = append(words, strings.TrimSpace("r"+string(rune('0'+r.Number))+" "+r.State+" "+strings.TrimPrefix(r.ImageID, "sha256:")))
	}
	return strings.Join(words, "; ")
}

func (w *world) conflict(says string, err error) {
	w.t.Helper()
	if err == nil || problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), says) || problem.Of(err).Remedy == "" {
		w.t.Errorf("got %v; want a conflict that says %q", err, says)
	}
}

func variable(name, value string) func(*spec.Service) {
	return func(s *spec.Service) { s.Environment = map[string]string{name: value} }
}

func TestRollbackRunsWhatServedBefore(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good", projecttest.Port(80, 0), variable("V", "1")))
		w.must("shop", app("web", "better", projecttest.Port(80, 0), variable("V", "2")))
		plan, err := w.back("web", 0)
		if err != nil || verbs(plan) != "update web back to r1,image,environment,image content" {
			t.Errorf("%s, %v", verbs(plan), err)
		}
		if got := w.history("web"); got != "r3 active good; r2 retired better; r1 retired good" {
			t.Errorf("history: %s", got)
		}
		r := w.record("shop")
		s := r.Service("web")
		if s.Rollout(3).Digest != s.Rollout(1).Digest || s.Rollout(3).Back != 1 || r.Declared.Services[0].Environment["V"] != "1" || r.Declared.Services[0].Ports[0].External != 0 {
			t.Errorf("%+v, declared %+v", s.Rollout(3), r.Declared)
		}
		p, err := w.Plan(t.Context(), api.Apply{Project: shop(app("web", "better", projecttest.Port(80, 0), variable("V", "2")))})
		if err != nil || p.Changes[0].Verb != "update" {
			t.Errorf("the newer file: %s, %v", verbs(p), err)
		}
		p, err = w.Plan(t.Context(), api.Apply{Project: shop(app("web", "good", projecttest.Port(80, 0), variable("V", "1")))})
		if err != nil || p.Changes[0].Verb != "keep" {
			t.Errorf("the older file: %s, %v", verbs(p), err)
		}
		if _, err = w.back("web", 0); err != nil || w.record("shop").Service("web").Rollout(4).Back != 2 {
			t.Errorf("and forth: %v", err)
		}
	})
}

func TestRollbackRunsTheImageThatTheNameMeantThen(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		images := w.images()
		images.moved["app"] = "good"
		w.must("shop", app("web", "app"))
		images.moved["app"] = "better"
		w.must("shop", app("web", "app"))
		if _, err := w.back("web", 1); err != nil {
			t.Fatal(err)
		}
		if got := w.history("web"); got != "r3 active good; r2 retired better; r1 retired good" {
			t.Errorf("history: %s", got)
		}
		p, err := w.Plan(t.Context(), api.Apply{Project: shop(app("web", "app"))})
		if err != nil || verbs(p) != "update web image content" {
			t.Errorf("the same file: %s, %v", verbs(p), err)
		}
		images.gone["sha256:better"] = true
		_, err = w.back("web", 2)
		w.conflict("the image of r2, app (sha256:better), is gone", err)
	})
}

func TestRollbackSkipsWhatNeverServedOrRanAlike(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good"))
		_, err := w.back("web", 0)
		w.conflict("prod.shop.web never ran otherwise", err)
		if _, err := w.apply("shop", app("web", "crash")); err == nil {
			t.Fatal("it runs")
		}
		w.must("shop", app("web", "good")) // the failed one is forgiven
		w.must("shop", app("web", "better"))
		if err := w.Restart(t.Context(), target("web"), none); err != nil {
			t.Fatal(err)
		}
		if got := w.history("web"); got != "r4 active better; r3 retired better; r2 failed crash; r1 retired good" {
			t.Errorf("history: %s", got)
		}
		plan, err := w.back("web", 0)
		if err != nil || !strings.Contains(verbs(plan), "back to r1") {
			t.Errorf("%s, %v", verbs(plan), err)
		}
	})
}

func TestRollbackOfWhatIsOnItsWayCallsItOff(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good", projecttest.Port(80, 8080)))
		time.Sleep(time.Hour)
		ended := make(chan error, 1)
		go func() {
			_, err := w.apply("shop", app("web", "deaf", projecttest.Port(80, 8080)))
			ended <- err
		}()
		time.Sleep(2 * time.Second)
		_, err := w.back("web", 2)
		w.conflict("r2 of prod.shop.web is on its way already", err)
		plan, err := w.back("web", 0)
		if err != nil || verbs(plan) != "update web r2 is called off" {
			t.Errorf("%s, %v", verbs(plan), err)
		}
		if err := <-ended; problem.KindOf(err) != problem.Failed || !strings.Contains(err.Error(), "r2 of prod.shop.web was given up") {
			t.Errorf("who applied it hears %v", err)
		}
		if got := w.history("web"); got != "r2 retired deaf; r1 active good" {
			t.Errorf("history: %s", got)
		}
		if d := w.record("shop").Declared.Services[0]; d.Image != "good" {
			t.Errorf("declared %+v", d)
		}
		time.Sleep(2 * time.Minute)
		if s := w.cluster.State(); len(s.Services) != 1 {
			t.Errorf("left: %+v", s)
		}
		_, err = w.back("web", 1)
		w.conflict("r1 of prod.shop.web is the one that serves", err)
		_, err = w.back("web", 9)
		if problem.KindOf(err) != problem.NotFound || !strings.Contains(problem.Of(err).Remedy, "r1, r2") {
			t.Errorf("an unknown one: %v", err)
		}
	})
}

func TestRollbackOverAnUpdateRetiresIt(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good", projecttest.Port(80, 0)))
		w.must("shop", app("web", "better", projecttest.Port(80, 0)))
		go func() { _, _ = w.apply("shop", app("web", "deaf", projecttest.Port(80, 0))) }()
		time.Sleep(2 * time.Second)
		if _, err := w.back("web", 1); err != nil {
			t.Error(err)
		}
		if got := w.history("web"); got != "r4 active good; r3 retired deaf; r2 retired better; r1 retired good" {
			t.Errorf("history: %s", got)
		}
		all, _ := w.History(t.Context(), target("web"))
		if all[1].Reason != "another rollout took its place before it was healthy" || all[0].Back != 1 {
			t.Errorf("%+v", all[:2])
		}
	})
}

func TestFailedRollbackLeavesTheOldOneServing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good"))
		w.must("shop", app("web", "better"))
		w.cluster.Change("sha256:good", reconciletest.App{Lives: time.Second, Exit: 3, Says: []string{"the world has changed"}})
		_, err := w.back("web", 0)
		if problem.KindOf(err) != problem.Failed || !strings.Contains(err.Error(), "it exited with code 3; r2 serves on") {
			t.Errorf("got %v", err)
		}
		all, err := w.History(t.Context(), target("web"))
		if err != nil || all[0].State != "failed" || all[0].Reason != "it exited with code 3" || !slices.Equal(all[0].Lines, []string{"the world has changed"}) || all[1].State != "active" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestRollbackWantsWhatTheRolloutHad(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		host := func(h string) func(*spec.Service) {
			return func(s *spec.Service) { s.Domains = []spec.Domain{{Host: h, Port: 80}} }
		}
		w.must("shop", app("web", "good", projecttest.Port(80, 8080), host("a.test"), needs("db", spec.Started)), app("db", "good"))
		w.must("shop", app("web", "better", projecttest.Port(80, 8081), host("b.test"))) // and db goes
		w.must("blog", app("front", "good", projecttest.Port(80, 8080), host("a.test")))
		_, err := w.back("web", 1)
		w.conflict("r1 does not fit to the project any more: web needs db", err)
		w.must("shop", app("web", "better", projecttest.Port(80, 8081), host("b.test")), app("db", "good", projecttest.Port(80, 8082)))
		_, err = w.back("web", 1)
		w.conflict("port 8080/tcp, which r1 had, is taken by prod.blog.front", err)
		w.conflict("the domain a.test, which r1 had, belongs to prod.blog.front", err)
		if _, err := w.Remove(t.Context(), api.Target{Name: "blog", Project: true}, api.Removal{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		w.cluster.Held[8080] = "nginx"
		_, err = w.back("web", 1)
		w.conflict("is taken by nginx", err)
		if got, _ := w.record("shop").Declared.Service("web"); got.Image != "better" {
			t.Errorf("a refusal changed %+v", got)
		}
		delete(w.cluster.Held, 8080)
		if _, err = w.back("web", 1); err != nil {
			t.Error(err)
		}
	})
}

func TestRollbackBringsFilesAndAStoppedServiceBack(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		with := func(text string) spec.Project {
			p := shop(app("web", "good", func(s *spec.Service) {
				s.Mounts = []spec.Mount{{Kind: spec.Config, Source: "a.conf", Target: "/a"}}
			}))
			p.Files = []spec.File{{Name: "a.conf", Content: []byte(text)}}
			return p
		}
		for _, text := range []string{"one", "two"} {
			if err := w.Apply(t.Context(), api.Apply{Project: with(text)}, none); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Stop(t.Context(), target("web"), none); err != nil {
			t.Fatal(err)
		}
		if _, err := w.back("web", 0); err != nil {
			t.Fatal(err)
		}
		r := w.record("shop")
		if string(r.Service("web").Rollout(3).Files[0].Content) != "one" || string(r.Declared.Files[0].Content) != "one" || r.Service("web").Stopped {
			t.Errorf("%+v", r)
		}
		all, _ := w.History(t.Context(), target("web"))
		if !slices.Equal(all[1].Changes, []string{"files"}) {
			t.Errorf("%+v", all[1])
		}
	})
}

func TestRollbackWorksOnRecordsFromBefore(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "data", projecttest.Port(80, 0)))
		w.must("shop", app("web", "good", projecttest.Port(80, 0)))
		r := *w.record("shop")
		for i := range r.Services[0].Rollouts {
			r.Services[0].Rollouts[i].Declared = nil
		}
		if err := w.records.SaveProject(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, err := w.back("web", 0); err != nil {
			t.Fatal(err)
		}
		p, err := w.Plan(t.Context(), api.Apply{Project: shop(app("web", "data", projecttest.Port(80, 0)))})
		if err != nil || verbs(p) != "keep web" {
			t.Errorf("%s, %v", verbs(p), err)
		}
	})
}

func TestWhatServesIsNeverForgotten(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good"))
		for range 24 {
			if _, err := w.apply("shop", app("web", "crash")); err == nil {
				t.Fatal("it runs")
			}
		}
		s := w.record("shop").Service("web")
		if len(s.Rollouts) != 20 || s.Active != 1 || s.Rollouts[0].Number != 1 || s.Rollouts[1].Number != 7 {
			t.Errorf("%d are remembered, from r%d and r%d on; r%d serves", len(s.Rollouts), s.Rollouts[0].Number, s.Rollouts[1].Number, s.Active)
		}
		_, err := w.back("web", 5)
		if problem.KindOf(err) != problem.NotFound {
			t.Errorf("a forgotten one is offered: %v", err)
		}
		_, err = w.back("web", 0)
		w.conflict("never ran otherwise", err)
		if all, _ := w.History(t.Context(), target("web")); len(all) != 20 || all[19].State != "active" {
			t.Errorf("history: %+v", all)
		}
	})
}

func TestBadTriesDoNotTakeAwayWhatOneCanGoBackTo(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.images()
		w.must("shop", app("web", "good"))
		w.must("shop", app("web", "better"))
		for range 20 {
			if _, err := w.apply("shop", app("web", "crash")); err == nil {
				t.Fatal("it runs")
			}
		}
		if plan, err := w.back("web", 0); err != nil || !strings.Contains(verbs(plan), "back to r1") {
			t.Errorf("%s, %v", verbs(plan), err)
		}
		for i := range 24 { // and good ones are forgotten in their turn
			w.must("shop", app("web", []string{"good", "better"}[(i+1)%2]))
		}
		if s := w.record("shop").Service("web"); len(s.Rollouts) != 20 || s.Rollout(1) != nil || s.Rollout(s.Active) == nil {
			t.Errorf("%d are remembered, from r%d on", len(s.Rollouts), s.Rollouts[0].Number)
		}
	})
}

func TestRollbackOfAWriterStopsItFirst(t *testing.T) {
	in(t, func(t *testing.T, w *world) { // the cluster tells when two write at once
		w.images()
		w.must("shop", app("db", "data", variable("V", "1")))
		w.must("shop", app("db", "data", variable("V", "2")))
		plan, err := w.back("db", 0)
		if err != nil || !plan.Changes[0].Stops || len(plan.Changes[0].Volumes) != 0 {
			t.Errorf("%+v, %v", plan, err)
		}
		go func() { _, _ = w.apply("shop", app("db", "data", variable("V", "3"), projecttest.Port(80, 0))) }()
		for range 3 { // in the midst of the change of guard
			time.Sleep(300 * time.Millisecond)
			if plan, err = w.back("db", 0); err != nil {
				t.Errorf("%+v, %v", plan, err)
			}
			go func() { _, _ = w.apply("shop", app("db", "data", variable("V", "3"), projecttest.Port(80, 0))) }()
		}
		time.Sleep(5 * time.Minute)
		if st, err := w.Find(t.Context(), target("db")); err != nil || st.State != "healthy" || len(w.cluster.State().Services) != 1 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestHistoryAndDiffNeedOneService(t *testing.T) {
	d := &deploy.Deployer{Records: &projecttest.Memory{}}
	_, err := d.History(t.Context(), target("web"))
	_, err2 := d.Diff(t.Context(), target("web"), api.DiffOptions{})
	if problem.KindOf(err) != problem.NotFound || problem.KindOf(err2) != problem.NotFound {
		t.Error(errors.Join(err, err2))
	}
}

func TestActiveRolloutIsKeptHoweverOldItIs(t *testing.T) {
	r := fresh()
	s := project.Service{ID: "web", Name: "web", Active: 1, Target: 20}
	for n := range 20 {
		s.Rollouts = append(s.Rollouts, project.Rollout{Number: n + 1, State: project.Retired})
	}
	r.Services = []project.Service{s}
	p := shop(projecttest.Service("web"))
	o, err := deploy.Declare(r, p, found(p), noon)
	if err != nil {
		t.Fatal(err)
	}
	if s := o.Record.Service("web"); len(s.Rollouts) != 20 || s.Rollout(1) == nil || s.Rollout(2) != nil || s.Target != 21 {
		t.Errorf("%+v", s)
	}
}
