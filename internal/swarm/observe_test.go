package swarm_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	engine "github.com/moby/moby/api/types/swarm"

	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/swarm"
)

func check(retries int) *spec.Health {
	return &spec.Health{Test: []string{"CMD", "/app", "healthcheck"}, Interval: 3e8, Timeout: 2e9, Retries: retries}
}

func TestHealthIsSeen(t *testing.T) {
	w := open(t)
	d := w.project(t, "health22", "10.87.3.0/24")
	d.Spec.Health = check(3)
	w.start(t, d)
	w.until(t, d, "a healthy task", func(o service.Observed) bool { return runs(o) == 1 && o.Tasks[0].Health == "healthy" })
}

func TestFailedHealthCheckIsToldWithItsOutput(t *testing.T) {
	w := open(t)
	d := w.project(t, "unwell22", "10.87.4.0/24")
	d.Spec.Health = check(3)
	d.Variables = []string{"UNHEALTHY=1", "CHECK_TAKES=400ms"} // so the end is sure to kill one
	d.Spec.Restart.Policy = spec.Never
	w.start(t, d)
	w.until(t, d, "a failing check", func(o service.Observed) bool {
		live := o.Live()
		return len(live) == 1 && live[0].State == service.Starting && strings.Contains(live[0].HealthLog, "503")
	})
	// The swarm may call the task failed before its container has ended.
	o := w.until(t, d, "a failed task with its output", func(o service.Observed) bool {
		return len(o.Tasks) == 1 && o.Tasks[0].State == service.Failed && o.Tasks[0].Health == "unhealthy" && strings.Contains(o.Tasks[0].HealthLog, "503")
	})
	if got := service.Ending(o.Tasks[0]); !strings.Contains(got, "health check failed") {
		t.Errorf("it ended: %s", got)
	}
}

func TestEndsAreTold(t *testing.T) {
	w := open(t)
	d := w.project(t, "ending22", "10.87.5.0/24")
	d.Spec.Restart.Policy = spec.Never
	for n, c := range []struct {
		id        spec.ServiceID
		variables []string
		health    *spec.Health
		state     service.State
		code      int
	}{
		{id: "crashes2", variables: []string{"CRASH=3"}, state: service.Failed, code: 3},
		{id: "complet2", variables: []string{"EXIT_AFTER=100ms"}, state: service.Complete},
		{id: "welldon2", variables: []string{"EXIT_AFTER=2s"}, health: check(3), state: service.Complete},
	} {
		d := d
		d.ID, d.Variables, d.Spec.Health = c.id, c.variables, c.health
		d.Rollout = n + 1
		w.start(t, d)
		o := w.until(t, d, "the end of "+string(c.id), func(o service.Observed) bool { return len(o.Tasks) == 1 && o.Tasks[0].State.Ended() })
		got := o.Tasks[0]
		if got.State != c.state || got.ExitCode != c.code || got.OOM || got.Health != "" {
			t.Errorf("%s: its task is %+v", c.id, got)
		}
		again, err := w.observe(t.Context(), d) // this time from memory
		if err != nil || again.Tasks[0].State != c.state || again.Tasks[0].ExitCode != c.code {
			t.Errorf("%s: seen again its task is %+v, %v", c.id, again.Tasks[0], err)
		}
	}
}

// An engine of version 20.10 misses now and then why a container was killed
// that ended at once; one that is restarted tells in the end.
func TestKillForMemoryIsTold(t *testing.T) {
	w := open(t)
	d := w.project(t, "toobig22", "10.87.8.0/24")
	d.Variables, d.Spec.Limits.Memory = []string{"ALLOCATE=200"}, 32<<20
	w.start(t, d)
	o := w.until(t, d, "a killed task", func(o service.Observed) bool {
		return slices.ContainsFunc(o.Tasks, func(t service.Task) bool { return t.OOM })
	})
	for _, got := range o.Tasks {
		if got.OOM && (got.State != service.Failed || got.ExitCode != 137) {
			t.Errorf("its task is %+v", got)
		}
	}
}

func TestCrashLoopIsNewestFirst(t *testing.T) {
	w := open(t)
	d := w.project(t, "looping2", "10.87.6.0/24")
	d.Variables = []string{"CRASH=4"}
	w.start(t, d)
	o := w.until(t, d, "three failures", func(o service.Observed) bool {
		failed := 0
		for _, t := range o.Tasks {
			if t.State == service.Failed {
				failed++
			}
		}
		return failed >= 3
	})
	if !slices.IsSortedFunc(o.Tasks, func(a, b service.Task) int { return b.Created.Compare(a.Created) }) {
		t.Errorf("tasks are not sorted: %s", describe(o))
	}
}

func TestServiceThatCannotBePlacedSaysWhy(t *testing.T) {
	w := open(t)
	d := w.project(t, "toomuch2", "10.87.7.0/24")
	d.Spec.Reserve.CPUs = 4096
	w.start(t, d)
	o := w.until(t, d, "the reason", func(o service.Observed) bool { return len(o.Tasks) == 1 && o.Tasks[0].Error != "" })
	if got := o.Tasks[0]; got.State != service.Waiting || !strings.Contains(got.Error, "insufficient resources") {
		t.Errorf("its task is %+v", got)
	}
}

func TestEndedContainerIsUnhealthyOnlyIfItsCheckFailed(t *testing.T) {
	inspect := func(streak int, log ...*container.HealthcheckResult) container.InspectResponse {
		return container.InspectResponse{
			State: &container.State{
				Status: container.StateExited,
				Health: &container.Health{Status: container.Unhealthy, FailingStreak: streak, Log: log},
			},
			Config: &container.Config{Healthcheck: &container.HealthConfig{Retries: 2}},
		}
	}
	if health, _ := swarm.LookAt(inspect(1)); health != "" {
		t.Errorf("after one failure of two: %q", health)
	}
	long := strings.Repeat("ö", 4000) + "the end\n"
	health, log := swarm.LookAt(inspect(2, &container.HealthcheckResult{ExitCode: 1, Output: "first"}, &container.HealthcheckResult{ExitCode: 1, Output: long}, &container.HealthcheckResult{}))
	if health != "unhealthy" || len(log) > 2<<10 || !strings.HasSuffix(log, "öthe end") {
		t.Errorf("after two: %q, %q", health, log)
	}
}

// A container's end comes after the check that ended it: checks go on while it
// is stopped, are refused by its server and killed with it.
func TestEndIsToldByTheCheckThatCausedIt(t *testing.T) {
	ill, refused := container.HealthcheckResult{ExitCode: 1, Output: "503\n"}, container.HealthcheckResult{ExitCode: 1, Output: "refused"}
	killed, unrun := container.HealthcheckResult{ExitCode: 137}, container.HealthcheckResult{ExitCode: -1, Output: "no such process"}
	for name, c := range map[string]struct {
		state  container.ContainerState
		streak int
		log    []container.HealthcheckResult
		want   string
	}{
		"the last":                         {container.StateExited, 2, []container.HealthcheckResult{refused, ill}, "503"},
		"the last before the stop":         {container.StateExited, 3, []container.HealthcheckResult{ill, ill, refused}, "503"},
		"the oldest kept, all are late":    {container.StateExited, 9, []container.HealthcheckResult{ill, refused, refused}, "503"},
		"a killed one says nothing":        {container.StateExited, 2, []container.HealthcheckResult{ill, killed}, "503"},
		"only a late one says anything":    {container.StateExited, 4, []container.HealthcheckResult{killed, killed, ill, killed}, "503"},
		"not one that could not be run":    {container.StateExited, 2, []container.HealthcheckResult{ill, unrun}, "503"},
		"one that could not be run, alone": {container.StateExited, 2, []container.HealthcheckResult{killed, unrun}, "no such process"},
		"nothing said":                     {container.StateExited, 2, []container.HealthcheckResult{killed, killed}, ""},
		"none kept":                        {container.StateExited, 2, nil, ""},
		"its end had another cause":        {container.StateExited, 1, []container.HealthcheckResult{ill}, ""},
		"it runs yet":                      {container.StateRunning, 4, []container.HealthcheckResult{refused, refused, ill, killed}, "503"},
	} {
		var log []*container.HealthcheckResult
		for _, r := range c.log {
			log = append(log, &r)
		}
		_, got := swarm.LookAt(container.InspectResponse{
			State:  &container.State{Status: c.state, Health: &container.Health{FailingStreak: c.streak, Log: log}},
			Config: &container.Config{Healthcheck: &container.HealthConfig{Retries: 2}},
		})
		if got != c.want {
			t.Errorf("%s: told %q", name, got)
		}
	}
}

func TestEveryStateOfATaskIsKnown(t *testing.T) {
	for _, s := range []engine.TaskState{
		engine.TaskStateNew, engine.TaskStateAllocated, engine.TaskStatePending, engine.TaskStateAssigned, engine.TaskStateAccepted,
		engine.TaskStatePreparing, engine.TaskStateReady, engine.TaskStateStarting, engine.TaskStateRunning, engine.TaskStateComplete,
		engine.TaskStateShutdown, engine.TaskStateFailed, engine.TaskStateRejected, engine.TaskStateRemove, engine.TaskStateOrphaned,
	} {
		got := swarm.Fold(engine.Task{Status: engine.TaskStatus{State: s, Timestamp: time.Now()}}, "x").State
		if ended := s == "complete" || s == "shutdown" || s == "failed" || s == "rejected" || s == "remove" || s == "orphaned"; got.Ended() != ended {
			t.Errorf("%s is %s", s, got)
		}
	}
	if got := swarm.Fold(engine.Task{Status: engine.TaskStatus{State: "dancing"}}, "x").State; got.Ended() {
		t.Errorf("an unknown state is %s", got)
	}
}

// The engine takes the time of a start after the process began.
func TestQuickInitHasDoneItsWorkThoughItEndedBeforeItsStart(t *testing.T) {
	for says, want := range map[string]struct {
		state container.State
		well  bool
	}{
		"quick":                     {container.State{StartedAt: "2026-01-01T00:00:00.2Z", FinishedAt: "2026-01-01T00:00:00.1Z"}, true},
		"slow":                      {container.State{StartedAt: "2026-01-01T00:00:00Z", FinishedAt: "2026-01-01T00:01:00Z"}, true},
		"died with the engine":      {container.State{StartedAt: "2026-01-01T00:00:00Z", FinishedAt: "0001-01-01T00:00:00Z"}, false},
		"never started":             {container.State{StartedAt: "0001-01-01T00:00:00Z", FinishedAt: "2026-01-01T00:00:00Z"}, false},
		"a code":                    {container.State{StartedAt: "2026-01-01T00:00:00Z", FinishedAt: "2026-01-01T00:01:00Z", ExitCode: 1}, false},
		"killed for want of memory": {container.State{StartedAt: "2026-01-01T00:00:00Z", FinishedAt: "2026-01-01T00:01:00Z", OOMKilled: true}, false},
	} {
		if got := swarm.EndedWell(&want.state); got != want.well {
			t.Errorf("%s: %v", says, got)
		}
	}
}
