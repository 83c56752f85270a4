package event_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/event"
)

const web = "prod.shop.web"

func seen(s event.Service) event.Sight {
	return event.Sight{Services: map[string]event.Service{web: s}}
}

// words tells events as kind/rollout/state/says.
func words(events []api.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, strings.TrimRight(fmt.Sprintf("%s/%d/%s/%s", e.Kind, e.Rollout, e.State, e.Says), "/"))
	}
	return all
}

func TestEachChangeIsToldOnceAndOnlyOnce(t *testing.T) {
	crash := event.Ending{Task: "t1", Rollout: 1, Says: "it exited with code 3"}
	oom := event.Ending{Task: "t2", Rollout: 1, OOM: true, Says: "too much"}
	well := event.Service{State: "healthy", Last: 1, Open: map[int]string{1: "active"}}
	with := func(change func(*event.Service)) event.Sight {
		s := well
		change(&s)
		return seen(s)
	}
	for _, c := range []struct {
		name          string
		before, after event.Sight
		want          []string
	}{
		{"the first deploy begins", event.Sight{}, seen(event.Service{State: "starting", Last: 1, Open: map[int]string{1: "pending"}}), []string{"deploy-begun/1"}},
		{"a whole deploy between two sights", event.Sight{}, seen(well), []string{"deploy-begun/1", "deploy-done/1", "health/0/healthy"}},
		{"an update fails, the old one serves on", seen(well), with(func(s *event.Service) {
			s.Last, s.Open, s.Reasons = 2, map[int]string{1: "active", 2: "failed"}, map[int]string{2: "it exited"}
		}), []string{"deploy-begun/2", "deploy-failed/2//it exited"}},
		{"an update that another one overtook", with(func(s *event.Service) { s.Last, s.Open = 2, map[int]string{1: "active", 2: "pending"} }),
			with(func(s *event.Service) {
				s.Last, s.Open, s.Reasons = 3, map[int]string{1: "active", 2: "retired", 3: "pending"}, map[int]string{2: "overtaken"}
			}), []string{"deploy-failed/2//overtaken", "deploy-begun/3"}},
		{"a rollout that is forgotten says nothing", with(func(s *event.Service) { s.Last, s.Open = 2, map[int]string{1: "retired", 2: "active"} }),
			with(func(s *event.Service) { s.Last, s.Open = 2, map[int]string{2: "active"} }), nil},
		{"what serves retires quietly", with(func(s *event.Service) { s.Last, s.Open = 2, map[int]string{1: "active", 2: "pending"} }),
			with(func(s *event.Service) { s.Last, s.Open = 2, map[int]string{1: "retired", 2: "active"} }), []string{"deploy-done/2"}},
		{"a container ends badly", seen(well), with(func(s *event.Service) { s.Endings = []event.Ending{crash} }), []string{"restart/1//it exited with code 3"}},
		{"two do, the newest stands first", seen(well), with(func(s *event.Service) { s.Endings = []event.Ending{oom, crash} }),
			[]string{"restart/1//it exited with code 3", "oom/1//too much"}},
		{"a first deploy that crashes, all between two sights", event.Sight{}, seen(event.Service{
			State: "failing", Last: 1, Open: map[int]string{1: "failed"}, Reasons: map[int]string{1: "it exited"}, Endings: []event.Ending{crash},
		}), []string{"deploy-begun/1", "restart/1//it exited with code 3", "deploy-failed/1//it exited", "health/0/failing"}},
		{"the same ending seen again", with(func(s *event.Service) { s.Endings = []event.Ending{crash} }), with(func(s *event.Service) { s.Endings = []event.Ending{crash} }), nil},
		{"a crash loop begins", seen(well), with(func(s *event.Service) { s.State, s.Looping = "failing", "again" }), []string{"crash-loop/0/unwell/again", "health/0/failing"}},
		{"and ends", with(func(s *event.Service) { s.State, s.Looping = "failing", "again" }), seen(well), []string{"crash-loop/0/well/it runs on", "health/0/healthy"}},
		{"a crash loop in other words", with(func(s *event.Service) { s.State, s.Looping = "failing", "a" }), with(func(s *event.Service) { s.State, s.Looping = "failing", "b" }), nil},
		{"starting is no state to tell", seen(well), with(func(s *event.Service) { s.State = "starting" }), nil},
		{"a service goes", seen(well), event.Sight{}, []string{"health/0/removed"}},
		{"a port is taken", event.Sight{}, event.Sight{Ports: map[string]string{"25": "taken by exim"}}, []string{"listener/0/unwell/taken by exim"}},
		{"and had again", event.Sight{Ports: map[string]string{"25": "taken by exim"}}, event.Sight{}, []string{"listener/0/well/port 25 is served"}},
		{"a certificate is renewed", event.Sight{Certificates: map[string]time.Time{"a.test": time.Unix(0, 0)}},
			event.Sight{Certificates: map[string]time.Time{"a.test": time.Unix(86400, 0)}}, []string{"certificate/0/well/a.test has a certificate until 1970-01-02"}},
		{"the engine goes", event.Sight{}, event.Sight{Node: "no answer"}, []string{"node/0/unwell/no answer"}},
		{"it is still gone, otherwise", event.Sight{Node: "no answer"}, event.Sight{Node: "other words"}, nil},
		{"it comes", event.Sight{Node: "no answer"}, event.Sight{}, []string{"node/0/well/the engine answers again"}},
	} {
		now := c.after
		if got := words(event.Compare(c.before, &now)); !slices.Equal(got, c.want) {
			t.Errorf("%s: told %q, want %q", c.name, got, c.want)
		}
		if again := words(event.Compare(now, &now)); len(again) > 0 {
			t.Errorf("%s: told twice: %q", c.name, again)
		}
	}
}

func TestHealthAfterStartingIsComparedWithWhatWasToldLast(t *testing.T) {
	told := seen(event.Service{State: "healthy"})
	starting, well, bad := seen(event.Service{State: "starting"}), seen(event.Service{State: "healthy"}), seen(event.Service{State: "failing"})
	event.Compare(told, &starting)
	if got := event.Compare(starting, &well); len(got) > 0 {
		t.Errorf("told again that it is healthy: %v", got)
	}
	if got := words(event.Compare(starting, &bad)); !slices.Equal(got, []string{"health/0/failing"}) {
		t.Errorf("told %q", got)
	}
}

func TestRestartsAreCountedOnThoughTheEngineForgetsThem(t *testing.T) {
	first := seen(event.Service{Endings: []event.Ending{{Task: "a"}, {Task: "b"}}})
	event.Compare(event.Sight{}, &first)
	second := seen(event.Service{Endings: []event.Ending{{Task: "c"}}})
	event.Compare(first, &second)
	if got := second.Services[web].Restarts; got != 3 {
		t.Errorf("%d restarts, want 3", got)
	}
}
