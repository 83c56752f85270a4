package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/reconcile"
	"havre/internal/reconcile/reconciletest"
	"havre/internal/spec"
)

func TestDeclaredServicesRun(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 0), web("web", "good", 4001))
		w.settle()
		s := w.cluster.State()
		if len(s.Services) != 2 || len(s.Volumes) != 1 || len(s.Networks) != 1 || len(s.Portals) != 1 || len(s.Routes) != 1 || !strings.HasPrefix(s.Routes[0], "4001 to 1 of ") {
			t.Errorf("got %+v", s)
		}
		if n, state := w.serving("shop", "web"); n != 1 || state != project.Active {
			t.Errorf("r%d serves; the last one is %s", n, state)
		}
		w.cluster.CrashAt(reconciletest.Crash{})
		w.settle()
		if acts := w.cluster.Acts(); len(acts) > 0 {
			t.Errorf("at rest it does %q", acts)
		}
	})
}

func TestUpdateSwitchesWithoutAGap(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		w.apply("shop", web("web", "better", 4001))
		for range 60 {
			if _, err := w.loop.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(w.cluster.Table().TCP[0].Targets) != 1 {
				t.Fatalf("the route leads to %v", w.cluster.Table().TCP[0].Targets)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if n, _ := w.serving("shop", "web"); n != 2 || len(w.cluster.State().Services) != 1 {
			t.Errorf("r%d serves of %v", n, w.cluster.State().Services)
		}
	})
}

// Who waits for an update reads in the record that it is done, and may ask the
// service at once.
func TestWhatIsSaidToServeIsServed(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		w.apply("shop", web("web", "better", 4001))
		w.cluster.CrashAt(reconciletest.Crash{})
		w.settle()
		acts := w.cluster.Acts()
		followed := slices.Index(acts, "follow")
		if followed < 0 || acts[followed+1] != "save" || slices.Contains(acts[followed+2:], "save") {
			t.Errorf("it did %q", acts)
		}
	})
}

func TestWriterComesBackWhenItsSuccessorFails(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 4001))
		w.settle()
		bad := web("db", "crash", 4001)
		bad.Mounts = []spec.Mount{{Kind: spec.Volume, Source: "db.data", Target: "/data"}}
		w.apply("shop", bad)
		w.settle()
		r, _ := w.find("shop")
		ro := r.Service("db").Rollout(2)
		if n, state := w.serving("shop", "db"); n != 1 || state != project.Failed || ro.Reason != "it exited with code 3" || !slices.Equal(ro.Lines, []string{"a", "no database"}) {
			t.Errorf("r%d serves; %+v", n, ro)
		}
		if s := w.cluster.State(); len(s.Services) != 1 || !strings.HasSuffix(s.Services[0], "r1 x1: 1 run") {
			t.Errorf("got %v", s.Services)
		}
	})
}

// A volume that is gone was on a disk that is not mounted, as likely as not: an
// empty one in its place would be a database that forgot everything.
func TestVolumeThatIsGoneIsNotReplacedByAnEmptyOne(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 4001))
		w.settle()
		w.cluster.Lose("volumes")
		next := web("db", "better", 4001)
		next.Mounts = []spec.Mount{{Kind: spec.Volume, Source: "db.data", Target: "/data"}}
		w.apply("shop", next)
		w.settle()
		r, _ := w.find("shop")
		if ro := r.Service("db").Rollout(2); ro.State != project.Failed || ro.Reason != "it could not be started: volume db.data: the volume db.data is gone" {
			t.Errorf("%s: %s", ro.State, ro.Reason)
		}
		w.cluster.Lose("services")
		w.passFor(20 * time.Second)
		if s := w.cluster.State(); len(s.Volumes)+len(s.Services) != 0 {
			t.Errorf("it runs on %+v", s)
		}
		w.remove("shop")
		w.settle()
		w.apply("shop", web("db", "data", 4001))
		w.settle()
		if n, _ := w.serving("shop", "db"); n != 3 {
			t.Errorf("removed and applied again it begins anew; r%d serves", n)
		}
	})
}

func TestWhatServesComesBack(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		r := w.apply("shop", web("db", "data", 0), web("web", "good", 4001))
		w.settle()
		want := w.cluster.State()
		for _, lost := range []string{"services", "portals"} {
			w.cluster.Lose(lost)
			w.passFor(20 * time.Second)
			if got := w.cluster.State(); !slices.Equal(got.Services, want.Services) || !slices.Equal(got.Portals, want.Portals) || !slices.Equal(got.Routes, want.Routes) {
				t.Errorf("without its %s: %+v", lost, got)
			}
		}
		w.cluster.Kill(r.Service("db").ID)
		w.passFor(20 * time.Second)
		if got := w.cluster.State(); !slices.Equal(got.Services, want.Services) {
			t.Errorf("after a kill: %+v", got)
		}
	})
}

func TestNoWriterBesideALostOne(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 0))
		w.settle()
		w.cluster.Lose("services") // its container takes 2 s to stop
		w.settle()
	})
}

func TestOneProjectsTroubleIsNotAnothers(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Refuse = func(call string) error {
			if strings.HasPrefix(call, "start h-pbad-") || call == "volume db.data" {
				return problem.New(problem.Unavailable, "the disk is full")
			}
			return nil
		}
		w.apply("bad", web("web", "good", 4001), web("db", "data", 0))
		w.apply("shop", web("web", "good", 4002))
		err := w.passFor(20 * time.Second)
		if err == nil || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), "start r1 of bad.web") {
			t.Errorf("the pass says %v", err)
		}
		if n, _ := w.serving("shop", "web"); n != 1 {
			t.Error("shop does not serve")
		}
		if n, state := w.serving("bad", "web"); n != 0 || state != project.Pending {
			t.Errorf("bad: r%d, %s", n, state)
		}
		w.passFor(2 * time.Minute)
		if _, state := w.serving("bad", "web"); state != project.Failed {
			t.Errorf("bad is %s after two minutes", state)
		}
		w.cluster.Refuse = nil
		w.settle()
		if n, state := w.serving("bad", "web"); n != 1 || state != project.Active {
			t.Errorf("when there is room again: r%d, %s", n, state)
		}
	})
}

func TestHopelessStartIsGivenUpAtOnce(t *testing.T) {
	for _, kind := range []problem.Kind{problem.Denied, problem.NotFound, problem.Invalid, problem.Conflict} {
		in(t, func(t *testing.T, w *world) {
			refused := 0
			w.cluster.Refuse = func(call string) error {
				if strings.HasPrefix(call, "start") {
					refused++
					return problem.New(kind, "no")
				}
				return nil
			}
			w.apply("shop", web("web", "good", 4001))
			err := w.passFor(time.Second)
			r, _ := w.find("shop")
			ro := r.Service("web").Rollout(1)
			if ro.State != project.Failed || !strings.HasSuffix(ro.Reason, "could not be started: no") || err != nil {
				t.Errorf("%s: %+v; %v", kind, ro, err)
			}
			pace, err := w.loop.Pass(t.Context())
			if pace != reconcile.Restless || err != nil {
				t.Errorf("then its pace is %d, %v; want restless", pace, err)
			}
		})
	}
}

func TestTroubleOfTheStoreIsNobodysFailure(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		saves := 0
		w.cluster.Refuse = func(call string) error {
			if call != "save" {
				return nil
			}
			if saves++; saves%2 == 1 {
				return errors.New("disk I/O error")
			}
			return nil
		}
		w.passFor(time.Second)
		if _, state := w.serving("shop", "web"); state != project.Pending {
			t.Errorf("the rollout is %s", state)
		}
		w.passFor(20 * time.Second)
		if n, state := w.serving("shop", "web"); n != 1 || state != project.Active {
			t.Errorf("r%d serves; the last one is %s", n, state)
		}
	})
}

func TestNetworkThatCannotBeMadeIsSaid(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Stray("e", "stranger")
		w.apply("shop", web("web", "good", 4001), web("db", "data", 0))
		w.cluster.Refuse = func(call string) error {
			if call == "make network" {
				return problem.New(problem.Conflict, "the subnet is taken")
			}
			return nil
		}
		w.passFor(3 * time.Second)
		r, _ := w.find("shop")
		for _, name := range []string{"web", "db"} {
			if ro := r.Service(name).Rollout(1); ro.State != project.Failed || !strings.Contains(ro.Reason, "the subnet is taken") {
				t.Errorf("%s: %s, %q", name, ro.State, ro.Reason)
			}
		}
		w.cluster.Refuse = nil
		w.settle()
		if n, _ := w.serving("shop", "web"); n != 1 {
			t.Error("it does not serve when there is one")
		}
	})
}

func TestRemovedProjectLeavesOnlyItsData(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.applyWith(shop("data", "good", "one"))
		w.settle()
		w.remove("shop")
		w.settle()
		if s := w.cluster.State(); len(s.Services)+len(s.Networks)+len(s.Portals)+s.Configs+len(s.Routes) != 0 || len(s.Volumes) != 1 {
			t.Errorf("got %+v", s)
		}
		w.applyWith(shop("data", "good", "one"))
		w.settle()
		if s := w.cluster.State(); len(s.Services) != 2 || len(s.Volumes) != 1 {
			t.Errorf("applied again: %+v", s)
		}
	})
}

func TestOrphansGo(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		want := w.cluster.State()
		w.cluster.Stray("other", "stranger")
		w.settle()
		if got := w.cluster.State(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestForgottenProjectLeavesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		r := w.applyWith(shop("data", "good", "one"))
		w.settle()
		if err := w.records.ForgetProject(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if s := w.cluster.State(); len(s.Services)+len(s.Networks)+len(s.Portals)+s.Configs+len(s.Routes) != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestTakenUDPPortIsSeenWithItsHolder(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Held[4053] = "dnsmasq (pid 53)"
		dns := web("dns", "good", 4053)
		dns.Ports[0].Protocol = spec.UDP
		w.apply("shop", dns)
		w.settle()
		if got := w.loop.Sight().Listeners[project.Port{Number: 4053, Protocol: spec.UDP}]; got != "port 4053 is taken by dnsmasq (pid 53)" {
			t.Errorf("got %q", got)
		}
	})
}

func TestTakenPortIsSeenWithItsHolder(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Held[4001] = "nginx"
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		if got := w.loop.Sight().Listeners[project.Port{Number: 4001, Protocol: spec.TCP}]; got != "port 4001 is taken by nginx" {
			t.Errorf("got %q", got)
		}
		delete(w.cluster.Held, 4001)
		w.passFor(time.Second)
		if got := w.loop.Sight().Listeners; len(got) != 0 {
			t.Errorf("it is free and the loop says %v", got)
		}
	})
}

func TestPortIsServedByWhoHasItUntilTheSwitch(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("a", "good", 4001))
		w.settle()
		// a leaves 4001 with a new container that never gets well; b takes it.
		w.apply("shop", web("a", "deaf", 4002), web("b", "good", 4001))
		if err := w.passFor(5 * time.Second); err != nil {
			t.Fatalf("the table is refused: %v", err)
		}
		if routes := w.cluster.State().Routes; !slices.Equal(routes, []string{"4001 to 1 of s.shop.a"}) {
			t.Errorf("got %v", routes)
		}
		w.apply("shop", web("a", "better", 4002), web("b", "good", 4001))
		w.settle()
		if routes := w.cluster.State().Routes; !slices.Equal(routes, []string{"4001 to 1 of s.shop.b", "4002 to 1 of s.shop.a"}) {
			t.Errorf("got %v", routes)
		}
	})
}

func TestPaceFollowsWhatGoesOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		pace := func() reconcile.Pace {
			p, err := w.loop.Pass(t.Context())
			if err != nil {
				t.Error(err)
			}
			return p
		}
		if pace() != reconcile.Calm {
			t.Error("with nothing to do it is not calm")
		}
		w.apply("shop", web("web", "crash", 4001))
		if pace() != reconcile.Busy {
			t.Error("with a rollout on its way it is not busy")
		}
		w.passFor(time.Minute)
		if pace() != reconcile.Restless {
			t.Error("with a failed one it is not restless")
		}
		w.change("shop", func(r *project.Record) { r.Service("web").Stopped = true })
		w.settle()
	})
}

func TestRunLooksSoonAndThenRests(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.loop.Run(ctx) }()
		w.apply("shop", web("web", "good", 4001))
		time.Sleep(10 * time.Second)
		if n, _ := w.serving("shop", "web"); n != 1 {
			t.Error("ten seconds later it does not serve")
		}
		seen := w.loop.Sight().At
		time.Sleep(30 * time.Second)
		if w.loop.Sight().At != seen {
			t.Error("at rest it looks again within half a minute")
		}
		w.loop.Poke()
		w.loop.Poke() // never blocks
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if w.loop.Sight().At == seen {
			t.Error("poked, it does not look")
		}
		seen = w.loop.Sight().At
		time.Sleep(61 * time.Second)
		if w.loop.Sight().At == seen {
			t.Error("it does not look each minute")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	})
}

func TestRunBacksOffWhileTheEngineIsAway(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		looks := 0
		w.cluster.Refuse = func(call string) error {
			if call == "look" {
				looks++
				return problem.New(problem.Unavailable, "no engine")
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.loop.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if looks < 10 || looks > 20 {
			t.Errorf("it looks %d times in a minute", looks)
		}
		if says := w.loop.Sight().Problem; !strings.Contains(says, "no engine") {
			t.Errorf("it says %q", says)
		}
		cancel()
		<-ended
	})
}

func TestTheLoopSaysWhenTheStoreCannotBeRead(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.cluster.Refuse = func(call string) error {
			if call == "read" {
				return errors.New("disk I/O error")
			}
			return nil
		}
		if _, err := w.loop.Pass(t.Context()); err == nil || !strings.Contains(w.loop.Sight().Problem, "disk I/O error") {
			t.Errorf("%v; %q", err, w.loop.Sight().Problem)
		}
	})
}

func TestDeafContainerIsProbedOnceAPass(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "deaf", 4001))
		w.passFor(2 * time.Minute)
		r, _ := w.find("shop")
		if ro := r.Service("web").Rollout(1); ro.State != project.Failed || !strings.Contains(ro.Reason, "do not accept") {
			t.Errorf("%s: %s", ro.State, ro.Reason)
		}
		probes := 0
		w.cluster.Refuse = func(call string) error {
			if call == "probe" {
				probes++
			}
			return nil
		}
		if _, err := w.loop.Pass(t.Context()); err != nil || probes != 1 {
			t.Errorf("%d probes, %v", probes, err)
		}
	})
}

func TestServiceThatRunsOnceIsDone(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		once := web("once", "once", 0)
		once.Restart.Policy = spec.Never
		after := web("web", "good", 0)
		after.Needs = []spec.Need{{Service: "once", Condition: spec.Completed}}
		w.apply("shop", once, after)
		w.settle()
		if n, _ := w.serving("shop", "web"); n != 1 {
			t.Error("what waits for it does not start")
		}
	})
}

func TestConnectedClientsFinishBeforeTheOldOneGoes(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		w.cluster.Connect(3)
		w.apply("shop", web("web", "better", 4001))
		w.passFor(20 * time.Second)
		if n, _ := w.serving("shop", "web"); n != 2 || len(w.cluster.State().Services) != 2 {
			t.Errorf("r%d serves of %v", n, w.cluster.State().Services)
		}
		w.restart() // when the wait began is remembered
		w.cluster.Connect(-1)
		w.passFor(2 * time.Second)
		if got := w.cluster.State().Services; len(got) != 1 {
			t.Errorf("nobody is connected any more, and there are %v", got)
		}
	})
}

func TestClientsThatStayAreLeftAfterAWhile(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		w.cluster.Connect(1)
		w.apply("shop", web("web", "better", 4001))
		w.passFor(project.Farewell)
		w.restart()
		if got := w.cluster.State().Services; len(got) != 2 {
			t.Fatalf("too early: %v", got)
		}
		w.passFor(15 * time.Second)
		if got := w.cluster.State().Services; len(got) != 1 {
			t.Errorf("one client keeps %v", got)
		}
	})
}

func TestOldOneStaysUntilTheIngressKnowsBetter(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("web", "good", 4001))
		w.settle()
		deaf := false
		w.cluster.Refuse = func(call string) error {
			if deaf && call == "follow" {
				return errors.New("the ingress does not answer")
			}
			return nil
		}
		deaf = true
		w.apply("shop", web("web", "better", 4001))
		w.passFor(20 * time.Second)
		if n, _ := w.serving("shop", "web"); n != 2 || len(w.cluster.State().Services) != 2 {
			t.Errorf("r%d serves of %v, and the ingress leads to %v", n, w.cluster.State().Services, w.cluster.Table().TCP)
		}
		deaf = false
		w.settle()
		if got := w.cluster.State().Services; len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
}

func TestWriterLeavesTheRoutesBeforeItStops(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 4001))
		w.settle()
		w.cluster.Connect(1)
		w.apply("shop", web("db", "data2", 4001))
		w.passFor(5 * time.Second)
		if s := w.cluster.State(); len(s.Services) != 1 || !strings.HasSuffix(s.Services[0], "x1: 1 run") || !strings.HasPrefix(s.Routes[0], "4001 to 0") {
			t.Errorf("with a client connected: %+v", s)
		}
		w.cluster.Connect(-1)
		w.settle()
		if n, _ := w.serving("shop", "db"); n != 2 || !strings.HasPrefix(w.cluster.State().Routes[0], "4001 to 1") {
			t.Errorf("r%d serves of %+v", n, w.cluster.State())
		}
	})
}
