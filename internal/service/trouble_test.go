package service_test

import (
	"slices"
	"testing"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// ended makes a task that lived for a while and ended badly some seconds after noon.
func ended(after int, lived time.Duration) service.Task {
	end := noon.Add(time.Duration(after) * time.Second)
	return service.Task{Slot: 1, Container: "c", State: service.Failed, ExitCode: 3, Since: end, Created: end.Add(-lived)}
}

// crashed is a number of tasks that ended one after another each second, newest first.
func crashed(n int) []service.Task {
	var tasks []service.Task
	for i := range n {
		tasks = append(tasks, ended(i+1, time.Second))
	}
	slices.Reverse(tasks)
	return tasks
}

// running is a container that runs since some seconds after noon.
func running(after int) service.Task {
	return service.Task{Slot: 1, State: service.Running, Since: noon.Add(time.Duration(after) * time.Second)}
}

func sec(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

func TestSufferSaysWhenToRestAndWhenToTry(t *testing.T) {
	always := spec.Service{Replicas: 1}
	resting := &service.Trouble{Since: sec(1), Crashes: 5, End: ended(5, time.Second), Row: 5, Rests: 1, Until: sec(15)}
	trying := &service.Trouble{Since: sec(1), Crashes: 5, End: ended(5, time.Second), Rests: 1, Tried: sec(15)}
	third := &service.Trouble{Since: sec(1), Crashes: 7, End: ended(40, time.Second), Rests: 3, Tried: sec(50)}
	last := &service.Trouble{Since: sec(1), Crashes: 40, End: ended(40, time.Second), Rests: 30, Tried: sec(50)}
	type want struct {
		none           bool
		crashes, rests int
		until          time.Time
		fresh          bool
	}
	for says, c := range map[string]struct {
		trouble *service.Trouble
		service spec.Service
		tasks   []service.Task
		now     int
		want    want
	}{
		"nothing happened":                              {nil, always, []service.Task{running(0)}, 60, want{none: true}},
		"one crash is mended at once":                   {nil, always, crashed(1), 2, want{crashes: 1, fresh: true}},
		"four, too":                                     {nil, always, crashed(4), 5, want{crashes: 4, fresh: true}},
		"five in a row rest for 10 s":                   {nil, always, crashed(5), 5, want{crashes: 5, rests: 1, until: sec(15), fresh: true}},
		"what was counted is not counted again":         {&service.Trouble{Since: sec(1), Crashes: 4, Row: 4, End: ended(4, 1)}, always, crashed(4), 5, want{crashes: 4}},
		"the fifth comes later":                         {&service.Trouble{Since: sec(1), Crashes: 4, Row: 4, End: ended(4, 1)}, always, crashed(5), 6, want{crashes: 5, rests: 1, until: sec(16), fresh: true}},
		"what ended before it was asked for counts not": {nil, always, []service.Task{ended(-1, time.Second)}, 5, want{none: true}},
		"it rests on":                                   {resting, always, nil, 14, want{crashes: 5, rests: 1, until: sec(15)}},
		"what ended late adds to the count":             {resting, always, []service.Task{ended(6, time.Second)}, 14, want{crashes: 6, rests: 1, until: sec(15), fresh: true}},
		"it is tried again":                             {resting, always, nil, 15, want{crashes: 5, rests: 1}},
		"the clock was put back":                        {resting, always, nil, -100, want{crashes: 5, rests: 1}},
		"after a rest one crash is enough":              {trying, always, []service.Task{ended(16, time.Second)}, 16, want{crashes: 6, rests: 2, until: sec(36), fresh: true}},
		"it rests twice as long each time":              {third, always, []service.Task{ended(51, time.Second)}, 51, want{crashes: 8, rests: 4, until: sec(51 + 80), fresh: true}},
		"at most 5 minutes":                             {last, always, []service.Task{ended(51, time.Second)}, 51, want{crashes: 41, rests: 31, until: sec(51 + 300), fresh: true}},
		"it was not well for long enough":               {trying, always, []service.Task{running(16)}, 45, want{crashes: 5, rests: 1}},
		"it was well for long enough":                   {trying, always, []service.Task{running(16)}, 46, want{none: true}},
		"longer than it rested":                         {third, always, []service.Task{running(51)}, 90, want{crashes: 7, rests: 3}},
		"longer than it rested, indeed":                 {third, always, []service.Task{running(51)}, 91, want{none: true}},
		"who lived long crashes for the first time":     {third, always, []service.Task{ended(100, 41*time.Second)}, 100, want{crashes: 1, fresh: true}},
		"who was never well did not live":               {third, always, []service.Task{ill(100, 41*time.Second)}, 100, want{crashes: 8, rests: 4, until: sec(180), fresh: true}},
		"another container is well":                     {nil, spec.Service{Replicas: 2}, append([]service.Task{running(-60)}, crashed(12)...), 13, want{crashes: 12, fresh: true}},
		"each of two has its five":                      {nil, spec.Service{Replicas: 2}, crashed(9), 9, want{crashes: 9, fresh: true}},
		"each of two had its five":                      {nil, spec.Service{Replicas: 2}, crashed(10), 10, want{crashes: 10, rests: 1, until: sec(20), fresh: true}},
		"who is not started again cannot rest":          {nil, spec.Service{Replicas: 1, Restart: spec.Restart{Policy: spec.Never}}, crashed(5), 5, want{none: true}},
		"who is started some times only, neither":       {nil, spec.Service{Replicas: 1, Restart: spec.Restart{Policy: spec.OnFailure, Attempts: 9}}, crashed(5), 5, want{none: true}},
		"who is started for ever after failures rests":  {nil, spec.Service{Replicas: 1, Restart: spec.Restart{Policy: spec.OnFailure}}, crashed(5), 5, want{crashes: 5, rests: 1, until: sec(15), fresh: true}},
		"none is asked for any more":                    {resting, spec.Service{}, nil, 6, want{none: true}},
	} {
		t.Run(says, func(t *testing.T) {
			o := service.Observed{SwarmID: "s", Tasks: c.tasks}
			next, worst := service.Backoff{}.Suffer(c.trouble, c.service, o, service.Moment{Now: sec(c.now), Started: noon, Accepts: all})
			if (next == nil) != c.want.none || (worst != nil) != c.want.fresh {
				t.Fatalf("got %+v, %+v", next, worst)
			}
			if next != nil && (next.Crashes != c.want.crashes || next.Rests != c.want.rests || !next.Until.Equal(c.want.until)) {
				t.Errorf("got %+v", next)
			}
			if !next.Same(c.trouble) != (c.want.fresh || c.want.none != (c.trouble == nil) || c.trouble.Resting() != next.Resting()) {
				t.Errorf("%+v and %+v: same %v", c.trouble, next, next.Same(c.trouble))
			}
		})
	}
}

// ill makes a task that its health check ended.
func ill(after int, lived time.Duration) service.Task {
	t := ended(after, lived)
	t.Health = "unhealthy"
	return t
}

func TestRestsAreAsLongAsTheyAreSetTo(t *testing.T) {
	b := service.Backoff{First: time.Second, Most: 3 * time.Second}
	trouble := &service.Trouble{Since: noon, Row: 5, Tried: noon}
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		at := service.Moment{Now: sec(100 * (i + 1)), Started: noon, Accepts: none}
		next, _ := b.Suffer(trouble, spec.Service{Replicas: 1}, service.Observed{Tasks: []service.Task{ended(100*(i+1), time.Second)}}, at)
		if got := next.Until.Sub(at.Now); got != want {
			t.Errorf("rest %d takes %v", i+1, got)
		}
		at.Now = next.Until
		trouble, _ = b.Suffer(next, spec.Service{Replicas: 1}, service.Observed{}, at)
	}
}

func TestWhoRestsGetsNoContainers(t *testing.T) {
	f := service.Facts{
		Active: 1, Target: 1, Ready: true, Replicas: map[int]int{1: 0}, Writes: map[int]bool{1: true}, Rests: map[int]bool{1: true},
		Observed: map[int]service.Observed{1: {SwarmID: "s", Rollout: 1, Replicas: 2}},
	}
	if got := service.Next(f); len(got) != 1 || got[0].Verb != service.Scale || got[0].Replicas != 0 {
		t.Errorf("it runs: %+v", got)
	}
	f.Observed = map[int]service.Observed{}
	if got := service.Next(f); len(got) != 0 {
		t.Errorf("its swarm service is lost: %+v", got)
	}
	f.Active = 0
	if got := service.Next(f); len(got) != 0 {
		t.Errorf("it never served, and its swarm service is lost: %+v", got)
	}
	f.Active, f.Target, f.Replicas[2] = 1, 2, 1
	if got := service.Next(f); len(got) != 1 || got[0].Verb != service.Start || got[0].Rollout != 2 {
		t.Errorf("another one is wanted: %+v", got)
	}
}
