package service_test

import (
	"strings"
	"testing"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func all(service.Task) bool { return true }

func none(service.Task) bool { return false }

func TestHealthyIsWhatDoesItsWork(t *testing.T) {
	old, young := noon.Add(-service.Settle), noon.Add(1-service.Settle)
	for says, c := range map[string]struct {
		task    service.Task
		accepts service.Accepts
		want    bool
	}{
		"its check passes":              {service.Task{State: service.Running, Health: "healthy", Since: noon}, none, true},
		"its check fails":               {service.Task{State: service.Running, Health: "unhealthy", Since: old}, all, false},
		"its check has not ended":       {service.Task{State: service.Running, Health: "starting", Since: old}, all, false},
		"no check, ports accept":        {service.Task{State: service.Running, Since: old}, all, true},
		"no check, too young":           {service.Task{State: service.Running, Since: young}, all, false},
		"no check, ports do not accept": {service.Task{State: service.Running, Since: old}, none, false},
		"it does not run yet":           {service.Task{State: service.Starting, Health: "healthy", Since: old}, all, false},
		"it ran":                        {service.Task{State: service.Complete, Since: old}, all, false},
	} {
		if got := service.Healthy(c.task, c.accepts, noon); got != c.want {
			t.Errorf("%s: %v", says, got)
		}
	}
}

// at makes a task of slot 1 that got into its state some seconds ago.
func at(state service.State, ago int) service.Task {
	return service.Task{Slot: 1, State: state, Container: "c", ExitCode: 3, Since: noon.Add(-time.Duration(ago) * time.Second)}
}

func slot(n int, t service.Task) service.Task {
	t.Slot = n
	return t
}

func TestJudgeSaysWhetherARolloutGetsThere(t *testing.T) {
	one := spec.Service{Replicas: 1}
	never := spec.Service{Replicas: 1, Restart: spec.Restart{Policy: spec.Never}}
	twice := spec.Service{Replicas: 1, Restart: spec.Restart{Policy: spec.OnFailure, Attempts: 1}}
	slow := spec.Service{Replicas: 1, Health: &spec.Health{Test: []string{"CMD", "x"}, Interval: spec.Duration(time.Minute), Retries: 2, Start: spec.Duration(time.Minute)}}
	well := service.Task{Slot: 1, State: service.Running, Health: "healthy", Since: noon}
	for says, c := range map[string]struct {
		want  spec.Service
		tasks []service.Task
		ago   time.Duration // since it was started
		done  bool
		fails string // "" when it does not
		waits string
	}{
		"none are wanted":          {spec.Service{}, nil, time.Hour, true, "", ""},
		"all are well":             {one, []service.Task{well}, time.Hour, true, "", ""},
		"well after bad ones":      {one, []service.Task{well, at(service.Failed, 1), at(service.Failed, 2), at(service.Failed, 3)}, time.Minute, true, "", ""},
		"half are well":            {spec.Service{Replicas: 2}, []service.Task{well}, time.Minute, false, "", "it runs"},
		"nothing yet":              {one, nil, time.Minute, false, "", "no container of it runs yet"},
		"nothing for too long":     {one, nil, time.Hour, false, "not healthy after 1m30s: no container", ""},
		"not placed":               {one, []service.Task{{State: service.Waiting, Error: "no suitable node"}}, time.Minute, false, "", "not placed it: no suitable node"},
		"not placed, no word":      {one, []service.Task{{State: service.Waiting}}, time.Minute, false, "", "not placed it yet"},
		"check runs":               {one, []service.Task{{State: service.Starting, Health: "starting"}}, time.Minute, false, "", "has not passed yet"},
		"check fails":              {one, []service.Task{{State: service.Starting, Health: "starting", HealthLog: "a\nno database\n"}}, time.Minute, false, "", "its health check fails: no database"},
		"ports closed":             {one, []service.Task{at(service.Running, 1)}, time.Minute, false, "", "ports do not accept"},
		"one bad end":              {one, []service.Task{at(service.Failed, 1)}, time.Minute, false, "", "no container of it runs yet; before that, it exited with code 3"},
		"one bad end, and again":   {one, []service.Task{at(service.Running, 0), at(service.Failed, 1)}, time.Minute, false, "", "; before that, it exited with code 3"},
		"a crash loop":             {one, []service.Task{at(service.Running, 1), at(service.Failed, 2), at(service.Failed, 3), at(service.Failed, 4)}, time.Minute, false, "it exited with code 3", ""},
		"one bad end of each":      {spec.Service{Replicas: 3}, []service.Task{slot(1, at(service.Failed, 1)), slot(2, at(service.Failed, 1)), slot(3, at(service.Failed, 1))}, time.Minute, false, "", "no container"},
		"bad ends before it began": {one, []service.Task{at(service.Failed, 70), at(service.Failed, 70), at(service.Failed, 70)}, time.Minute, false, "", "no container"},
		"too late, with a reason":  {one, []service.Task{at(service.Failed, 1)}, 2 * time.Minute, false, "no container of it runs yet; before that, it exited with code 3", ""},
		"a slow check has longer":  {slow, nil, 5 * time.Minute, false, "", "no container"},
		"but not for ever":         {slow, nil, 6 * time.Minute, false, "not healthy after 5m30s", ""},
		"a check that is none":     {spec.Service{Replicas: 1, Health: &spec.Health{Test: []string{"NONE"}}}, nil, 2 * time.Minute, false, "not healthy after 1m30s", ""},
		"ends with 0 for ever":     {one, []service.Task{{Slot: 1, State: service.Complete, Since: noon}, {Slot: 1, State: service.Complete, Since: noon}, {Slot: 1, State: service.Complete, Since: noon}}, time.Minute, false, "exit code 0", ""},
		"once, ended well":         {never, []service.Task{at(service.Complete, 1)}, time.Minute, true, "", ""},
		"once, ended well before":  {never, []service.Task{at(service.Complete, 100)}, time.Minute, true, "", ""},
		"once, and runs again":     {never, []service.Task{at(service.Running, 1), at(service.Complete, 100)}, time.Minute, false, "", "it runs"},
		"once, ended badly":        {never, []service.Task{at(service.Failed, 1)}, time.Minute, false, "it exited with code 3", ""},
		"twice, ended badly once":  {twice, []service.Task{at(service.Failed, 1)}, time.Minute, false, "", "no container"},
		"twice, ended badly twice": {twice, []service.Task{at(service.Failed, 1), at(service.Failed, 2)}, time.Minute, false, "it exited with code 3", ""},
		"twice, the last one runs": {twice, []service.Task{at(service.Running, 1), at(service.Failed, 1), at(service.Failed, 2)}, time.Minute, false, "", "it runs"},
		"on failure, one well and one ended": {
			spec.Service{Replicas: 2, Restart: spec.Restart{Policy: spec.OnFailure}}, []service.Task{well, slot(2, at(service.Complete, 1))}, time.Minute, true, "", "",
		},
	} {
		t.Run(says, func(t *testing.T) {
			v := service.Judge(c.want, service.Observed{Tasks: c.tasks}, service.Moment{Now: noon, Started: noon.Add(-c.ago), Accepts: none})
			if v.Done != c.done || v.Failed != (c.fails != "") || !strings.Contains(v.Reason, c.fails) || !strings.Contains(v.Reason, c.waits) {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestEndingNamesTheCause(t *testing.T) {
	long := strings.Repeat("é", 400)
	for _, c := range []struct {
		task service.Task
		want string
	}{
		{service.Task{OOM: true, ExitCode: 137, Error: "task: non-zero exit (137)"}, "it was killed for using more memory than its limit (OOM, exit code 137)"},
		{service.Task{Health: "unhealthy", ExitCode: 137, HealthLog: "first\nlast\n\n"}, "its health check failed: last"},
		{service.Task{Health: "unhealthy"}, "its health check failed: (it printed nothing)"},
		{service.Task{ExitCode: 2, Error: "task: non-zero exit (2)"}, "it exited with code 2"},
		{service.Task{ExitCode: 2}, "it exited with code 2"},
		{service.Task{ExitCode: 127, Error: `starting container failed: exec: "nginx": executable file not found`}, `the engine says: starting container failed: exec: "nginx": executable file not found`},
		{service.Task{Error: "No such image: sha256:abc"}, "the engine says: No such image: sha256:abc"},
		{service.Task{Error: long}, "the engine says: " + long[:600] + "…"},
		{service.Task{}, "it ended by itself, with exit code 0"},
	} {
		if got := service.Ending(c.task); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestPortsAreTCPAndOnce(t *testing.T) {
	got := service.Ports(spec.Service{Ports: []spec.Port{
		{Internal: 80, External: 80, Protocol: spec.TCP}, {Internal: 53, Protocol: spec.UDP}, {Internal: 80, External: 81, Protocol: spec.TCP}, {Internal: 25, Protocol: spec.TCP},
	}})
	if len(got) != 2 || got[0] != 80 || got[1] != 25 {
		t.Errorf("got %v", got)
	}
}

func TestServiceWithoutPortsIsNotSaidToHaveClosedOnes(t *testing.T) {
	moment := service.Moment{Now: noon, Started: noon.Add(-time.Minute), Accepts: func(service.Task) bool { return true }}
	young := service.Task{Slot: 1, State: service.Running, Since: noon.Add(-time.Second)}
	old := service.Task{Slot: 2, State: service.Running, Since: noon.Add(-time.Minute)}
	oom := service.Task{Slot: 1, State: service.Failed, OOM: true, ExitCode: 137, Since: noon.Add(-2 * time.Second)}
	v := service.Judge(spec.Service{Replicas: 2}, service.Observed{SwarmID: "a", Replicas: 2, Tasks: []service.Task{old, young, oom}}, moment)
	if want := "it runs, and counts as healthy when it has lived for 5s; before that, it was killed for using more memory than its limit (OOM, exit code 137)"; v.Reason != want {
		t.Errorf("%q, want %q", v.Reason, want)
	}
}

func TestCheckThatSaysNothingOfTheStartIsAsPatientAsTheStart(t *testing.T) {
	check := func(start time.Duration) *spec.Health {
		return &spec.Health{Test: []string{"CMD", "x"}, Retries: 1, Start: spec.Duration(start)}
	}
	for says, c := range map[string]struct {
		health *spec.Health
		image  service.Image
		want   time.Duration
	}{
		"its own":                      {check(0), service.Image{}, 90 * time.Second},
		"its own, with a time":         {check(time.Second), service.Image{Health: true, Start: time.Hour}, time.Second},
		"the image's":                  {nil, service.Image{Health: true}, 90 * time.Second},
		"the image's, with a time":     {nil, service.Image{Health: true, Start: time.Hour}, time.Hour},
		"the image's, otherwise":       {&spec.Health{Start: spec.Duration(time.Minute)}, service.Image{Health: true, Start: time.Hour}, time.Minute},
		"its own, not the image's":     {check(0), service.Image{Health: true, Start: time.Hour}, 90 * time.Second},
		"none":                         {nil, service.Image{}, 0},
		"none in place of the image's": {&spec.Health{Test: []string{"NONE"}}, service.Image{Health: true}, 0},
		"numbers without a check":      {&spec.Health{Retries: 1}, service.Image{}, 0},
	} {
		if got := service.CheckStart(spec.Service{Health: c.health}, c.image); got != c.want {
			t.Errorf("%s: %s, want %s", says, got, c.want)
		}
	}
}
