package deploy_test

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/api"
	"havre/internal/deploy"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/reconcile"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/service"
	"havre/internal/spec"
)

// world is a deployer with the real loop on a small cluster.
type world struct {
	*deploy.Deployer
	t       *testing.T
	cluster *reconciletest.Cluster
	records *projecttest.Memory
	loop    *reconcile.Loop
	stop    func()
}

// looking gives the deployer what the loop knows.
type looking struct{ *reconcile.Loop }

func (l looking) Outside() project.Outside {
	return project.Outside{Listeners: l.Sight().Listeners, Sick: l.Sight().Sick, HTTPPort: 80, HTTPSPort: 443, Suffix: "localhost"}
}

func apps() map[string]reconciletest.App {
	return map[string]reconciletest.App{
		"sha256:good":    {Says: []string{"ready"}},
		"sha256:better":  {Boot: time.Second},
		"sha256:data":    {Image: service.Image{Volumes: []string{"/data"}}},
		"sha256:crash":   {Lives: time.Second, Exit: 3, Says: []string{"starting", "no database"}},
		"sha256:late":    {Lives: 7 * time.Second, Exit: 4, Says: []string{"too much"}},
		"sha256:zero":    {Lives: time.Second, Says: []string{"bye"}},
		"sha256:oom":     {Lives: time.Second, Exit: 137, OOM: true},
		"sha256:check":   {Check: "pass"},
		"sha256:ill":     {Check: "curl: connection refused"},
		"sha256:deaf":    {Deaf: true},
		"sha256:refused": {Refused: "No such image: sha256:refused"},
		"sha256:unbound": {Refused: `invalid mount config for type "bind": bind source path does not exist: /vol`},
		"sha256:once":    {Lives: time.Second},
		"sha256:nine":    {Lives: 9 * time.Second, Exit: 3, Says: []string{"too much"}},
	}
}

// in runs a test in a time of its own.
func in(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, cluster: reconciletest.New(apps()), records: &projecttest.Memory{}}
		pool := netip.MustParsePrefix("10.87.0.0/22")
		space := &project.Addresses{Pool: pool, Routes: w.cluster.Machine().Routes}
		w.loop = reconcile.New(w.cluster.Hands(w.records), reconcile.Settings{Addresses: space})
		w.Deployer = &deploy.Deployer{
			Records: w.records, Images: w.cluster, Loop: looking{w.loop}, Machine: w.cluster.Machine(), Volumes: w.cluster,
			Environments: []string{"prod", "test"}, Addresses: space,
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.loop.Run(ctx) }()
		w.stop = sync.OnceFunc(func() {
			cancel()
			<-ended
		})
		defer w.stop()
		test(t, w)
		if broken := w.cluster.Broken(); len(broken) > 0 {
			t.Errorf("broken promises: %v", broken)
		}
	})
}

// app makes a service whose image is named alone.
func app(name, image string, change ...func(*spec.Service)) spec.Service {
	s := spec.Service{Name: name, Image: image, Replicas: 1}
	for _, c := range change {
		c(&s)
	}
	return s
}

func needs(name string, c spec.Condition) func(*spec.Service) {
	return func(s *spec.Service) { s.Needs = append(s.Needs, spec.Need{Service: name, Condition: c}) }
}

// apply applies, and gives what was reported.
func (w *world) apply(name string, services ...spec.Service) ([]api.Progress, error) {
	var all []api.Progress
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	began := time.Now()
	err := w.Apply(ctx, api.Apply{Project: spec.Project{Name: name, Services: services}}, func(p api.Progress) { all = append(all, p) })
	if time.Since(began) > 9*time.Minute {
		w.t.Errorf("it does not end: %v", err)
	}
	return all, err
}

func (w *world) must(name string, services ...spec.Service) []api.Progress {
	w.t.Helper()
	all, err := w.apply(name, services...)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// fails applies and looks for words in the error.
func (w *world) fails(kind problem.Kind, words string, services ...spec.Service) {
	w.t.Helper()
	_, err := w.apply("shop", services...)
	if err == nil || problem.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		w.t.Errorf("got  %v\nwant %s: %s", err, kind, words)
	}
}

func (w *world) record(name string) *project.Record {
	w.t.Helper()
	all, err := w.records.Projects(w.t.Context())
	i := slices.IndexFunc(all, func(r project.Record) bool { return r.Name == name })
	if err != nil || i < 0 {
		w.t.Fatalf("no project %s, %v", name, err)
	}
	return &all[i]
}

func none(api.Progress) {}

func target(name string) api.Target { return api.Target{Name: name} }

func TestApplyReportsUntilAllIsWell(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		all := w.must("shop", app("web", "good", projecttest.Port(80, 8080), needs("db", spec.Healthy)), app("db", "data"))
		if all[0].Plan == nil || verbs(*all[0].Plan) != "create db; create web" {
			t.Errorf("first it reports %+v", all[0])
		}
		var told []string
		for _, p := range all[1:] {
			told = append(told, p.Service.Name+" "+p.Service.State)
		}
		slices.SortStableFunc(told, func(a, b string) int { return strings.Compare(a[:3], b[:3]) })
		if got := strings.Join(slices.Compact(told), ", "); got != "db starting, db healthy, web waiting, web starting, web healthy" {
			t.Errorf("it reports %s", got)
		}
		began := time.Now()
		again := w.must("shop", app("web", "good", projecttest.Port(80, 8080), needs("db", spec.Healthy)), app("db", "data"))
		if verbs(*again[0].Plan) != "keep db; keep web" || time.Since(began) > time.Second {
			t.Errorf("applied twice: %+v after %s", again, time.Since(began))
		}
	})
}

func TestPlanChangesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		p, err := w.Plan(t.Context(), api.Apply{Project: spec.Project{Name: "shop", Services: []spec.Service{app("web", "good")}}})
		if all, _ := w.records.Projects(t.Context()); err != nil || verbs(p) != "create web" || len(all) != 0 {
			t.Errorf("%v, %v, %v", p, err, all)
		}
	})
}

func TestApplyRefusesWithAllReasons(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Hold(25, "exim4")
		udp := app("dns", "good")
		udp.Ports = []spec.Port{{Internal: 53, External: 4789, Protocol: spec.UDP, Access: spec.Public}}
		w.fails(problem.Invalid, "port 4789/udp is the engine's own", udp)
		w.fails(problem.Invalid, "4789/udp", udp, app("web", "Bad Name"))
		w.fails(problem.NotFound, "service web: no image none", app("web", "none"))
		w.fails(problem.Conflict, "port 80/tcp, which web wants, is Havre's own: it serves the domains of all projects there", app("web", "good", projecttest.Port(8080, 80)))
		w.fails(problem.Conflict, "port 443/tcp, which web wants, is Havre's own", app("web", "good", projecttest.Port(443, 443)))
		w.fails(problem.Conflict, "port 25/tcp, which web wants, is taken by exim4", app("web", "good", projecttest.Port(25, 25)))
		err := w.Apply(t.Context(), api.Apply{Environment: "dev", Project: shop(app("web", "good"))}, none)
		if problem.KindOf(err) != problem.NotFound || !strings.Contains(problem.Of(err).Remedy, "prod, test") {
			t.Errorf("an unknown environment: %v", err)
		}
		_, err = w.apply("shop", app("web", "none", projecttest.Port(25, 25)), app("db", "gone"))
		for _, words := range []string{"no image none", "no image gone", "taken by exim4"} {
			if err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("%q is missing in %v", words, err)
			}
		}
		if all, _ := w.records.Projects(t.Context()); len(all) != 0 {
			t.Errorf("and yet it remembers %+v", all)
		}
	})
}

func TestAnyPortIsOneThatNobodyHas(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Hold(4000, "nginx")
		w.cluster.Hold(4001, "apache")
		w.must("shop", app("web", "good", projecttest.Port(80, 0)))
		if got := externals(*w.record("shop"), "web"); got[0] != 4002 {
			t.Errorf("it gets %v", got)
		}
	})
}

func TestFailedApplySaysWhyAndWhatServesOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.fails(problem.Failed, "prod.shop.web did not get healthy: it exited with code 3", app("web", "crash"))
		w.must("shop", app("web", "good"))
		all, err := w.apply("shop", app("web", "crash"))
		if err == nil || !strings.Contains(err.Error(), "it exited with code 3; r2 serves on") {
			t.Errorf("got %v", err)
		}
		if last := all[len(all)-1]; last.Line != "web | no database" {
			t.Errorf("its last words are %+v", last)
		}
		if _, err := w.apply("shop", app("web", "good")); err != nil {
			t.Errorf("back to the one that serves: %v", err)
		}
		if st, err := w.Find(t.Context(), target("web")); err != nil || st.State != "healthy" || st.Says != "" {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestApplyEndsForEverythingThatCannotCome(t *testing.T) {
	for says, c := range map[string]struct {
		words    string
		services []spec.Service
	}{
		"a failed need":               {"prod.shop.web did not get healthy: it waits for db to be healthy, and db failed", []spec.Service{app("db", "crash"), app("web", "good", needs("db", spec.Healthy))}},
		"a need of a failed need":     {"prod.shop.web did not get healthy: it waits for mid to be started, and mid does not start: it waits for db", []spec.Service{app("db", "crash"), app("mid", "good", needs("db", spec.Healthy)), app("web", "good", needs("mid", spec.Started))}},
		"a need with no containers":   {"and db is idle", []spec.Service{app("db", "good", count(0)), app("web", "good", needs("db", spec.Started))}},
		"a need that never completes": {"and job failed", []spec.Service{app("job", "crash", func(s *spec.Service) { s.Restart.Policy = spec.Never }), app("web", "good", needs("job", spec.Completed))}},
		"closed ports":                {"its ports do not accept connections yet", []spec.Service{app("web", "deaf", projecttest.Port(80, 0))}},
		"a failing check":             {"its health check failed: curl: connection refused", []spec.Service{app("web", "ill", projecttest.Port(80, 0))}},
		"an image that is gone":       {"the engine says: No such image", []spec.Service{app("web", "refused")}},
		"one that ends well, always":  {"it ended by itself, with exit code 0", []spec.Service{app("web", "zero")}},
		"memory":                      {"more memory than its limit", []spec.Service{app("web", "oom")}},
	} {
		t.Run(says, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) { w.fails(problem.Failed, c.words, c.services...) })
		})
	}
}

func TestApplyEndsWhenWhatItNeedsWasStopped(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "data"))
		if err := w.Stop(t.Context(), target("db"), none); err != nil {
			t.Fatal(err)
		}
		w.fails(problem.Failed, "it waits for db to be healthy, and db was stopped", app("db", "data"), app("web", "good", needs("db", spec.Healthy)))
		if err := w.Start(t.Context(), target("db"), none); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		if st, err := w.Find(t.Context(), target("web")); err != nil || st.State != "healthy" {
			t.Errorf("then web is %+v, %v", st, err)
		}
	})
}

func TestIdleAndCompletedServicesAreSettled(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("idle", "good", count(0)), app("job", "once", func(s *spec.Service) { s.Restart.Policy = spec.Never }))
		all, err := w.List(t.Context(), "", "shop")
		if err != nil || len(all) != 2 || all[0].State != "idle" || all[1].State != "completed" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestApplyOfARouteWaitsUntilItIsThere(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 8080)))
		all := w.must("shop", app("web", "good", projecttest.Port(80, 8081)))
		if tcp := w.cluster.Table().TCP; verbs(*all[0].Plan) != "route web ports" || len(tcp) != 1 || tcp[0].Listen != 8081 {
			t.Errorf("%s, and the ingress follows %+v", verbs(*all[0].Plan), tcp)
		}
	})
}

func TestScalingWaitsForAllContainers(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 0)))
		time.Sleep(time.Hour)
		w.must("shop", app("web", "good", projecttest.Port(80, 0), count(3)))
		if st, err := w.Find(t.Context(), target("web")); err != nil || st.Healthy != 3 || st.Rollout != 1 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestStoppedServicesStartAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 0)), app("db", "data"))
		time.Sleep(time.Hour)
		for range 2 { // the second time there is nothing to do
			if err := w.Stop(t.Context(), target("web"), none); err != nil {
				t.Fatal(err)
			}
		}
		if st, _ := w.Find(t.Context(), target("web")); st.State != "stopped" {
			t.Errorf("it is %+v", st)
		}
		var told []string
		if err := w.Start(t.Context(), target("web"), func(p api.Progress) { told = append(told, p.Service.Name+" "+p.Service.State) }); err != nil {
			t.Error(err)
		}
		if last := told[len(told)-1]; last != "web healthy" || slices.Contains(told, "web failed") {
			t.Errorf("it reports %v", told)
		}
	})
}

func TestStartingOneDoesNotAnswerForAnother(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, _ = w.apply("shop", app("bad", "crash"), app("web", "good")) // bad fails, as it should
		if err := w.Stop(t.Context(), target("web"), none); err != nil {
			t.Fatal(err)
		}
		if err := w.Start(t.Context(), target("web"), none); err != nil {
			t.Errorf("web is well: %v", err)
		}
	})
}

func TestStartGivesAFailedFirstRolloutAnotherTry(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.fails(problem.Failed, "did not get healthy", app("web", "crash"))
		if err := w.Stop(t.Context(), target("web"), none); err != nil {
			t.Fatal(err)
		}
		w.cluster.Change("sha256:crash", reconciletest.App{})
		if err := w.Start(t.Context(), target("web"), none); err != nil {
			t.Error(err)
		}
	})
}

func TestRestartMakesARolloutLikeIt(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 0)), app("db", "data"))
		if err := w.Restart(t.Context(), api.Target{Name: "shop", Project: true}, none); err != nil {
			t.Fatal(err)
		}
		r := w.record("shop")
		for _, name := range []string{"web", "db"} {
			s := r.Service(name)
			if s.Active != 2 || s.Rollout(2).Digest != s.Rollout(1).Digest || s.Rollout(1).State != project.Retired {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestRemoveWaitsAndKeepsTheData(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 0), needs("db", spec.Started)), app("db", "data"))
		if _, err := w.Remove(t.Context(), target("db"), api.Removal{}); problem.KindOf(err) != problem.Invalid || !strings.Contains(err.Error(), "web needs db") {
			t.Errorf("what another needs: %v", err)
		}
		done, err := w.Remove(t.Context(), target("web"), api.Removal{})
		if err != nil || !slices.Equal(done.Gone, []string{"service web"}) || len(done.Kept) != 0 {
			t.Errorf("%+v, %v", done, err)
		}
		id := w.record("shop").Service("db").ID
		done, err = w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{})
		if err != nil || !slices.Equal(done.Gone, []string{"service db"}) || !slices.Equal(done.Kept, []string{"volume db.data"}) {
			t.Errorf("%+v, %v", done, err)
		}
		if s := w.cluster.State(); len(s.Services) != 0 {
			t.Errorf("it said gone: %+v", s)
		}
		if _, err := w.List(t.Context(), "", "shop"); problem.KindOf(err) != problem.NotFound {
			t.Errorf("it is still listed: %v", err)
		}
		w.must("shop", app("db", "data"))
		if w.record("shop").Service("db").ID != id {
			t.Error("it does not find its data again")
		}
	})
}

func TestRemoveWithVolumesLeavesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "data"))
		done, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{Volumes: true})
		if err != nil || !slices.Equal(done.Gone, []string{"service db", "volume db.data"}) {
			t.Errorf("%+v, %v", done, err)
		}
		if all, _ := w.records.Projects(t.Context()); len(all) != 0 {
			t.Errorf("it remembers %+v", all)
		}
		time.Sleep(2 * time.Minute)
		if s := w.cluster.State(); len(s.Services)+len(s.Networks)+len(s.Portals)+len(s.Volumes)+s.Configs != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

func TestVolumeThatTwoUseIsKeptForTheOther(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("a", "good", volume("shared", "/a"), volume("mine", "/m")), app("b", "good", volume("shared", "/b")))
		done, err := w.Remove(t.Context(), target("a"), api.Removal{Volumes: true})
		if err != nil || !slices.Equal(done.Gone, []string{"service a", "volume mine"}) {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

func TestRemoveDoesNotWaitForEverForANetwork(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "good"))
		w.cluster.Refusing(func(call string) error {
			if call == "remove network" {
				return problem.New(problem.Busy, "it is used")
			}
			return nil
		})
		done, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{Volumes: true})
		if err != nil || !slices.Equal(done.Gone, []string{"service db"}) {
			t.Errorf("%+v, %v", done, err)
		}
		w.cluster.Refusing(nil)
		w.must("shop", app("db", "good"))
	})
}

func TestRemoveEndsWhenSomebodyAppliesAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("db", "data"))
		w.cluster.Refusing(func(call string) error {
			if call == "remove" {
				return problem.New(problem.Unavailable, "not now")
			}
			return nil
		})
		ended := make(chan error)
		go func() {
			_, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{Volumes: true})
			ended <- err
		}()
		time.Sleep(time.Second)
		go func() { _, _ = w.apply("shop", app("db", "data")) }()
		time.Sleep(time.Second)
		w.cluster.Refusing(nil)
		if err := <-ended; problem.KindOf(err) != problem.Conflict {
			t.Errorf("it ends with %v", err)
		}
		time.Sleep(time.Minute)
		if len(w.cluster.State().Volumes) != 1 || w.record("shop").Removed {
			t.Error("and took away what was wanted again")
		}
	})
}

func TestAppliesAtOnceGetPortsAndNetworksOfTheirOwn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.Records = slow{w.records}
		var all sync.WaitGroup
		for _, name := range []string{"a", "b", "c", "a"} {
			all.Go(func() {
				if _, err := w.apply(name, app("web", "good", projecttest.Port(80, 0))); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		all.Wait()
		records, _ := w.records.Projects(t.Context())
		subnets, ports := map[string]bool{}, map[uint16]bool{}
		for _, r := range records {
			subnets[r.Subnet], ports[externals(r, "web")[0]] = true, true
		}
		if len(records) != 3 || len(subnets) != 3 || len(ports) != 3 {
			t.Errorf("%d projects, %v, %v", len(records), subnets, ports)
		}
	})
}

func TestNetworksRunOut(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b", "c", "d"} { // a /22 has four
			w.must(name, app("web", "good"))
		}
		if _, err := w.apply("e", app("web", "good")); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "no network is free") {
			t.Errorf("got %v", err)
		}
	})
}

func TestApplyEndsWithTheServer(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.Apply(ctx, api.Apply{Project: shop(app("web", "deaf", projecttest.Port(80, 0)))}, none)
		if problem.KindOf(err) != problem.Unavailable || w.record("shop").Service("web") == nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestApplyEndsWhenTheProjectIsRemoved(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		ended := make(chan error)
		go func() {
			_, err := w.apply("shop", app("web", "deaf", projecttest.Port(80, 0)))
			ended <- err
		}()
		time.Sleep(2 * time.Second)
		if _, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{}); err != nil {
			t.Error(err)
		}
		if err := <-ended; problem.KindOf(err) != problem.Conflict {
			t.Errorf("it ends with %v", err)
		}
	})
}

func TestBusyRecordsAreTriedAgain(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.Records = &hurried{Memory: w.records, busy: 3}
		w.must("shop", app("web", "good"))
		w.Records = &hurried{Memory: w.records, busy: 3}
		if err := w.Stop(t.Context(), target("web"), none); err != nil {
			t.Error(err)
		}
		w.Records = &hurried{Memory: w.records, busy: 1000}
		w.fails(problem.Busy, "someone else", app("web", "better"))
	})
}

// slow is a memory that takes its time to answer.
type slow struct{ *projecttest.Memory }

func (s slow) Projects(ctx context.Context) ([]project.Record, error) {
	all, err := s.Memory.Projects(ctx)
	for range 100 { // sleeping would stop the clock of those who wait for a lock
		runtime.Gosched()
	}
	return all, err
}

// hurried is a memory where someone else is always quicker, for some times.
type hurried struct {
	*projecttest.Memory
	busy int
}

func (h *hurried) SaveProject(ctx context.Context, r project.Record) error {
	if h.busy--; h.busy >= 0 {
		r.Version += 7
	}
	return h.Memory.SaveProject(ctx, r)
}

type granted []string

func (g granted) Granted(context.Context) ([]string, error) { return g, nil }

func TestCapabilityNeedsAGrantOfRoots(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		vpn := app("vpn", "good", func(s *spec.Service) { s.CapAdd = []string{"NET_ADMIN", "SYS_MODULE"} })
		w.Rights = granted{"NET_ADMIN"}
		_, err := w.apply("net", vpn)
		p := problem.Of(err)
		if p.Kind != problem.Denied || !strings.Contains(p.Says, "service vpn wants the capability SYS_MODULE") || !strings.Contains(p.Remedy, `"CAP_SYS_MODULE"`) {
			t.Errorf("got %v, %s", err, p.Remedy)
		}
		w.Rights = granted{"NET_ADMIN", "SYS_MODULE"}
		if _, err := w.apply("net", vpn); err != nil {
			t.Errorf("granted: %v", err)
		}
	})
}
