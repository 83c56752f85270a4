package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/service"
	"havre/internal/spec"
)

// why asks, and looks for words in the sentence, the remedy and the lines.
func (w *world) why(name, says, remedy, line string) api.Why {
	w.t.Helper()
	why, err := w.Why(w.t.Context(), target(name))
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.HasPrefix(why.Says, why.Service) || !strings.Contains(why.Says, says) || !strings.Contains(why.Remedy, remedy) || line != "" && !slices.Contains(why.Lines, line) {
		w.t.Errorf("got  %+v\nwant %q, %q, %q", why, says, remedy, line)
	}
	return why
}

// Promise 6: one sentence why something does not run, and what to do.
func TestWhyNamesTheReason(t *testing.T) {
	for says, c := range map[string]struct {
		service            spec.Service
		after              time.Duration
		words, remedy, log string
	}{
		"a crash loop":               {app("web", "crash"), time.Minute, "it exited with code 3", "havre logs prod.shop.web", "no database"},
		"a crash loop after a while": {app("web", "late"), 2 * time.Minute, "the last time because it exited with code 4; it rests and is tried again at ", "havre logs prod.shop.web", "too much"},
		"one that ended once":        {app("web", "nine"), 15 * time.Second, "runs: 1 of 1 containers are healthy; containers of it ended badly, 1 in all, the last at ", "", ""},
		"one that ends every 9 s":    {app("web", "nine"), 25 * time.Second, "fails: it starts again and again: it exited with code 3", "havre logs prod.shop.web", "too much"},
		"one that ends well, always": {app("web", "zero"), time.Minute, "exit code 0", "havre logs prod.shop.web", "bye"},
		"memory":                     {app("web", "oom", func(s *spec.Service) { s.Limits.Memory = 64 << 20 }), time.Minute, "OOM, exit code 137", "now 64 MiB", ""},
		"a failing check, soon":      {app("web", "ill"), 10 * time.Second, "is not healthy yet: its health check fails: curl: connection refused", "havre exec prod.shop.web", ""},
		"a failing check":            {app("web", "ill"), 2 * time.Minute, "its health check failed: curl: connection refused", "havre exec prod.shop.web", ""},
		"a volume that is gone":      {app("web", "unbound"), time.Minute, "bind source path does not exist: /vol", "mount its disk", ""},
		"an image that is gone":      {app("web", "refused"), time.Minute, "No such image", "build or load refused again, then: havre restart prod.shop.web", ""},
		"closed ports":               {app("web", "deaf", projecttest.Port(80, 0)), time.Minute, "its ports do not accept connections yet", "not only on 127.0.0.1", ""},
		"closed ports for good":      {app("web", "deaf", projecttest.Port(80, 0)), 3 * time.Minute, "not healthy after 1m30s: it runs, but its ports do not accept", "not only on 127.0.0.1", ""},
		"no replicas":                {app("web", "good", count(0)), time.Minute, "does not run: it is declared with no replicas", "replicas to 1", ""},
		"one that ran":               {app("web", "once", func(s *spec.Service) { s.Restart.Policy = spec.Never }), time.Minute, "ran to its end", "", ""},
		"one that is well":           {app("web", "good"), time.Minute, "runs: 1 of 1 containers are healthy", "", ""},
	} {
		t.Run(says, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				go func() { _, _ = w.apply("shop", c.service) }()
				time.Sleep(c.after)
				w.loop.Poke() // as the engine's events do
				time.Sleep(200 * time.Millisecond)
				w.why("web", c.words, c.remedy, c.log)
				time.Sleep(10 * time.Minute) // apply ends
			})
		})
	}
}

func TestWhyNamesWhoHasThePort(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 8080)))
		w.cluster.Hold(8080, "nginx (pid 7)")
		time.Sleep(2 * time.Minute)
		w.why("web", "fails: port 8080 is taken by nginx (pid 7)", "--port-offset", "")
	})
}

// The engine knows nothing of the ingress's check; a person who looks does.
func TestWhomTheIngressSendsNobodyToIsTold(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		checked := app("web", "good", projecttest.Domain("www.example.org", 80), count(2))
		checked.Front.Check = spec.Check{Path: "/health"}
		w.must("shop", checked)
		const found = "GET /health is answered with 503"
		listed := func() api.Service {
			all, err := w.List(t.Context(), "", "")
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			return all[0]
		}
		for _, c := range []struct {
			sick                int
			says, remedy, state string
			healthy             int
		}{
			{1, "runs: 1 of 2 containers are healthy; the ingress sends nobody to 1 of 2 containers, since its check finds them unwell: " + found, "", "healthy", 1},
			{2, "fails: the ingress sends nobody to it, since its check finds it unwell: " + found, "x-havre.check", "failing", 0},
			{0, "runs: 2 of 2 containers are healthy", "", "healthy", 2},
		} {
			w.cluster.Sicken(found, c.sick)
			time.Sleep(2 * time.Second)
			w.why("web", c.says, c.remedy, "")
			if s := listed(); s.State != c.state || s.Healthy != c.healthy || c.sick > 0 && !strings.Contains(s.Tasks[0].Says+s.Tasks[1].Says, found) {
				t.Errorf("%d sick: %+v", c.sick, s)
			}
		}
		w.cluster.Sicken(found, 2)
		time.Sleep(2 * time.Second)
		checked.Environment = map[string]string{"ANOTHER": "rollout"}
		w.must("shop", checked) // what the check finds is no failure of a deploy
		time.Sleep(2 * time.Second)
		w.why("web", "fails: the ingress sends nobody to it", "", "")
		checked.Front.Check = spec.Check{}
		w.must("shop", checked)
		w.why("web", "runs: 2 of 2", "", "")
	})
}

func TestWhyNamesHostsWithoutTheirPublicCertificate(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Domain("www.example.org", 80)))
		records, err := w.records.Projects(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ref, err := project.FindService(records, "web")
		if err != nil {
			t.Fatal(err)
		}
		why, _ := project.Why(ref, w.loop.View(), project.Outside{Certificates: map[string]string{"www.example.org": "no public certificate: no such name", "other.example.org": "no"}})
		if !strings.HasSuffix(why.Says, "containers are healthy; www.example.org: no public certificate: no such name") || !strings.Contains(why.Remedy, "80 and 443") {
			t.Errorf("%+v", why)
		}
	})
}

func TestWhyNamesWhatItWaitsFor(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = w.apply("shop", app("db", "ill"), app("web", "good", needs("db", spec.Healthy)))
		}()
		time.Sleep(5 * time.Second)
		w.why("web", "it waits for db to be healthy", "havre why prod.shop.db", "")
		<-ended
	})
}

func TestWhyTellsOfAFailedUpdate(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		_, _ = w.apply("shop", app("web", "crash"))
		w.why("web", "runs: 1 of 1 containers are healthy; rollout r2 failed: it exited with code 3", "mend it", "no database")
	})
}

func TestWhyStoppedSaysHowToStart(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good"))
		if err := w.Stop(t.Context(), target("web"), none); err != nil {
			t.Fatal(err)
		}
		w.why("web", "does not run: it was stopped", "havre start prod.shop.web", "")
	})
}

func TestLastWordsOutliveTheContainer(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, _ = w.apply("shop", app("web", "crash"))
		w.cluster.Refusing(func(call string) error {
			if call == "log" {
				return problem.New(problem.NotFound, "no such container")
			}
			return nil
		})
		w.why("web", "it exited with code 3", "", "no database")
	})
}

func TestServesButIsHurtLooksLikeThat(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 0)))
		time.Sleep(time.Hour)
		w.cluster.Kill(w.record("shop").Service("web").ID)
		w.loop.Poke()
		time.Sleep(2 * time.Second)
		if st, err := w.Find(t.Context(), target("web")); err != nil || st.State != "starting" || st.Restarts != 1 {
			t.Errorf("a container that is replaced after an hour: %+v, %v", st, err)
		}
		time.Sleep(time.Minute)
		w.why("web", "runs: 1 of 1", "", "")
	})
}

// Whichever of its containers the engine still tells of: the one that ended, the
// one that follows it, or none.
func TestContainerThatIsReplacedHasItsTime(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "good", projecttest.Port(80, 0)))
		time.Sleep(time.Hour)
		ref := project.Ref{Record: w.record("shop"), Service: w.record("shop").Service("web")}
		v := w.loop.View()
		v.Now = time.Now()
		v.Accepts = func(service.Task, []uint16) bool { return false }
		begun, soon, late := v.Now.Add(-time.Hour), v.Now.Add(-time.Second), v.Now.Add(-10*time.Minute)
		for what, c := range map[string]struct {
			tasks []service.Task
			state string
		}{
			"none":               {nil, "starting"},
			"one that ended now": {[]service.Task{{State: service.Failed, Created: begun, Since: soon}}, "starting"},
			"one that is new":    {[]service.Task{{State: service.Running, Created: soon, Since: soon}}, "starting"},
			"one that ended":     {[]service.Task{{State: service.Failed, Created: begun, Since: late}}, "failing"},
			"one that was new":   {[]service.Task{{State: service.Running, Created: late, Since: late}}, "failing"},
		} {
			v.Snapshot.Services = slices.Clone(v.Snapshot.Services)
			for i := range v.Snapshot.Services {
				v.Snapshot.Services[i].Tasks = c.tasks
			}
			if got := project.Status(*ref.Record, ref.Service, v, project.Outside{}); got.State != c.state {
				t.Errorf("%s: %s (%s), not %s", what, got.State, got.Says, c.state)
			}
		}
	})
}

// A service that crashes every few seconds is up most of the time, and not well.
func TestWhatCrashesEveryNineSecondsIsNotHealthy(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.must("shop", app("web", "nine"))
		time.Sleep(15 * time.Second)
		for range 120 {
			w.loop.Poke() // as the engine's events do
			time.Sleep(time.Second)
			st := w.state("web")
			if st.State != "failing" || st.Healthy != 0 || st.Restarts < 2 || st.LastEnd == nil || st.LastEnd.Says != "it exited with code 3" {
				t.Fatalf("%+v, %+v", st, st.LastEnd)
			}
		}
	})
}
