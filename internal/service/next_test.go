package service_test

import (
	"reflect"
	"testing"

	"havre/internal/service"
)

// up is a swarm service with as many running containers as it was told.
func up(id string, replicas int) service.Observed {
	o := service.Observed{SwarmID: id, Replicas: replicas}
	for range replicas {
		o.Tasks = append(o.Tasks, service.Task{State: service.Running})
	}
	return o
}

type (
	seen  = map[int]service.Observed
	count = map[int]int
	flags = map[int]bool
	facts = service.Facts
	steps = []service.Step
)

func start(n int) service.Step    { return service.Step{Verb: service.Start, Rollout: n} }
func leave(n int) service.Step    { return service.Step{Verb: service.Leave, Rollout: n} }
func activate(n int) service.Step { return service.Step{Verb: service.Activate, Rollout: n} }

func remove(n int, id string) service.Step {
	return service.Step{Verb: service.Remove, Rollout: n, SwarmID: id}
}

func scale(n int, id string, to int) service.Step {
	return service.Step{Verb: service.Scale, Rollout: n, Replicas: to, SwarmID: id}
}

func fail(n int, why string) service.Step {
	return service.Step{Verb: service.Fail, Rollout: n, Reason: why}
}

var (
	done   = map[int]service.Verdict{2: {Done: true}}
	failed = map[int]service.Verdict{2: {Failed: true, Reason: "it crashed"}}
)

func TestNextStep(t *testing.T) {
	stopping := service.Observed{Tasks: []service.Task{{State: service.Running}}} // its swarm service is gone
	play(t, map[string]scene{
		"nothing is wanted":                 {facts{Ready: true}, nil},
		"the first rollout starts":          {facts{Target: 1, Ready: true}, steps{start(1)}},
		"the first rollout waits":           {facts{Target: 1}, nil},
		"what serves is left alone":         {facts{Active: 1, Target: 1, Replicas: count{1: 2}, Observed: seen{1: up("a", 2)}}, nil},
		"what serves is counted":            {facts{Active: 1, Target: 1, Replicas: count{1: 3}, Observed: seen{1: up("a", 2)}}, steps{scale(1, "a", 3)}},
		"what serves comes back":            {facts{Active: 1, Target: 1, Replicas: count{1: 1}}, steps{start(1)}},
		"a lost one comes back at once":     {facts{Active: 1, Target: 1, Replicas: count{1: 1}, Writes: flags{1: false}, Observed: seen{1: stopping}}, steps{start(1)}},
		"a lost writer when it has stopped": {facts{Active: 1, Target: 1, Replicas: count{1: 1}, Writes: flags{1: true}, Observed: seen{1: stopping}}, nil},
		"a new one starts beside the old":   {facts{Active: 1, Target: 2, Ready: true, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 1)}, Writes: flags{1: false, 2: false}}, steps{start(2)}},
		"the old one is kept until then": {
			facts{Active: 1, Target: 2, Ready: true, Replicas: count{1: 2, 2: 1}, Observed: seen{1: up("a", 1), 2: up("b", 1)}, Writes: flags{1: false, 2: false}},
			steps{scale(1, "a", 2)},
		},
		"not ready, the old one serves on": {
			facts{Active: 1, Target: 2, Replicas: count{1: 1, 2: 1}, Writes: flags{1: true, 2: true}},
			steps{start(1)},
		},
		"a healthy one is switched to": {facts{Active: 1, Target: 2, Replicas: count{2: 1}, Observed: seen{1: up("a", 1), 2: up("b", 1)}, Verdict: done}, steps{activate(2)}},
		"a healthy one of too many shrinks": {
			facts{Target: 2, Replicas: count{2: 1}, Observed: seen{2: up("b", 2)}, Writes: flags{2: false}, Verdict: done}, steps{scale(2, "b", 1)},
		},
		"the old one goes after the switch": {facts{Active: 2, Target: 2, Replicas: count{2: 1}, Observed: seen{1: up("a", 1), 2: up("b", 1)}}, steps{remove(1, "a")}},
		"but not while somebody is connected": {
			facts{Active: 2, Target: 2, Busy: flags{1: true}, Replicas: count{2: 1}, Observed: seen{1: up("a", 1), 2: up("b", 1)}}, nil,
		},
		"stopping waits for nobody": {
			facts{Stopped: true, Active: 2, Target: 2, Busy: flags{1: true, 2: true}, Observed: seen{1: up("a", 1), 2: up("b", 1)}},
			steps{remove(1, "a"), scale(2, "b", 0)},
		},
		"a bad one is given up":          {facts{Active: 1, Target: 2, Observed: seen{1: up("a", 1), 2: up("b", 1)}, Verdict: failed}, steps{fail(2, "it crashed")}},
		"a bad first one is noted":       {facts{Target: 2, Replicas: count{2: 1}, Observed: seen{2: up("b", 1)}, Verdict: failed}, steps{fail(2, "it crashed")}},
		"and stays":                      {facts{Target: 2, Failed: true, Replicas: count{2: 1}, Observed: seen{2: up("b", 1)}, Verdict: failed}, nil},
		"and may still get healthy":      {facts{Target: 2, Failed: true, Replicas: count{2: 1}, Observed: seen{2: up("b", 1)}, Verdict: done}, steps{activate(2)}},
		"stopping stops both":            {facts{Stopped: true, Active: 1, Target: 2, Observed: seen{1: up("a", 1), 2: up("b", 1)}}, steps{scale(2, "b", 0), scale(1, "a", 0)}},
		"stopping stops the serving one": {facts{Stopped: true, Active: 1, Target: 1, Observed: seen{1: up("a", 2)}}, steps{scale(1, "a", 0)}},
		"what is stopped stays so":       {facts{Stopped: true, Active: 1, Target: 1, Replicas: count{1: 2}, Observed: seen{1: up("a", 0)}}, nil},
		"what is stopped is not made":    {facts{Stopped: true, Target: 1, Ready: true}, nil},
		"strays go": {
			facts{Stopped: true, Active: 3, Target: 3, Observed: seen{2: up("b", 1), 1: up("a", 1), 3: up("c", 0)}},
			steps{remove(1, "a"), remove(2, "b")},
		},
	})
}

func TestNextStepOfWriters(t *testing.T) {
	stopping := service.Observed{Tasks: []service.Task{{State: service.Running}}}
	play(t, map[string]scene{
		"a writer stops first": {
			facts{Active: 1, Target: 2, Ready: true, Left: true, Writes: flags{1: true, 2: true}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 1)}},
			steps{scale(1, "a", 0)},
		},
		"before that, nobody new is led to it": {
			facts{Active: 1, Target: 2, Ready: true, Busy: flags{1: true}, Writes: flags{1: true, 2: true}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 1)}},
			steps{leave(1)},
		},
		"and who is connected may finish": {
			facts{Active: 1, Target: 2, Ready: true, Left: true, Busy: flags{1: true}, Writes: flags{1: true, 2: true}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 1)}},
			nil,
		},
		"who made way does not come back for what is not ready": {
			facts{Active: 1, Target: 2, Left: true, Writes: flags{1: true, 2: true}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 0)}},
			steps{start(2)},
		},
		"writers that become one stop, all of them": {
			facts{Active: 1, Target: 1, Writes: flags{1: true}, Replicas: count{1: 1}, Observed: seen{1: up("a", 2)}},
			steps{scale(1, "a", 0)},
		},
		"and the one waits for the last of them": {
			facts{Active: 1, Target: 1, Writes: flags{1: true}, Replicas: count{1: 1}, Observed: seen{1: {SwarmID: "a", Tasks: []service.Task{{State: service.Running}}}}},
			nil,
		},
		"before it starts": {
			facts{Active: 1, Target: 1, Writes: flags{1: true}, Replicas: count{1: 1}, Observed: seen{1: up("a", 0)}},
			steps{scale(1, "a", 1)},
		},
		"so does one that never served": {
			facts{Target: 2, Ready: true, Writes: flags{2: true}, Replicas: count{2: 1}, Observed: seen{2: {SwarmID: "b", Tasks: []service.Task{{State: service.Running}}}}},
			nil,
		},
		"a reader's start at once": {
			facts{Active: 1, Target: 1, Writes: flags{1: false}, Replicas: count{1: 1}, Observed: seen{1: {SwarmID: "a", Tasks: []service.Task{{State: service.Running}}}}},
			steps{scale(1, "a", 1)},
		},
		"a writer waits for the last container": {
			facts{Active: 1, Target: 2, Ready: true, Writes: flags{1: true, 2: true}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: {SwarmID: "a", Tasks: []service.Task{{State: service.Running}}}}},
			nil,
		},
		"a writer starts in an empty place": {
			facts{Active: 1, Target: 2, Ready: true, Writes: flags{1: true, 2: true}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 0)}},
			steps{start(2)},
		},
		"a writer waits for a stray that has no container yet": {
			facts{Target: 2, Ready: true, Writes: flags{1: true, 2: true}, Observed: seen{1: {SwarmID: "a", Replicas: 1}}},
			steps{remove(1, "a")},
		},
		"a writer waits for a rollout nobody remembers": {
			facts{Target: 2, Ready: true, Writes: flags{2: true}, Observed: seen{1: stopping}}, nil,
		},
		"the old writer waits for the failed one": {
			facts{Active: 1, Target: 1, Writes: flags{1: true, 2: true}, Replicas: count{1: 1}, Observed: seen{1: up("a", 0), 2: up("b", 1)}},
			steps{remove(2, "b")},
		},
		"and then comes back": {
			facts{Active: 1, Target: 1, Writes: flags{1: true, 2: true}, Replicas: count{1: 1}, Observed: seen{1: up("a", 0)}},
			steps{scale(1, "a", 1)},
		},
		"a writer after stop and start goes on with the new one": {
			facts{Active: 1, Target: 2, Writes: flags{1: true, 2: true}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 0), 2: up("b", 0)}},
			steps{scale(2, "b", 1)},
		},
		"a reader starts beside a writer": {
			facts{Active: 1, Target: 2, Ready: true, Writes: flags{1: true, 2: false}, Replicas: count{1: 1, 2: 1}, Observed: seen{1: up("a", 1)}},
			steps{start(2)},
		},
		"a writer does not grow beside a stray": {
			facts{Target: 2, Writes: flags{1: true, 2: true}, Replicas: count{2: 1}, Observed: seen{1: stopping, 2: up("b", 0)}}, nil,
		},
	})
}

func TestNextStepOfThoseThatAreToBeAlone(t *testing.T) {
	none, one := flags{1: false, 2: false}, count{1: 1, 2: 1}
	stopping := service.Observed{Tasks: []service.Task{{State: service.Running}}}
	play(t, map[string]scene{
		"the old one leaves, and writes nothing": {
			facts{Active: 1, Target: 2, Ready: true, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: up("a", 1)}}, steps{leave(1)},
		},
		"it stops when nobody is connected": {
			facts{Active: 1, Target: 2, Ready: true, Left: true, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: up("a", 1)}}, steps{scale(1, "a", 0)},
		},
		"nothing starts while it stops": {
			facts{Active: 1, Target: 2, Ready: true, Left: true, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: {SwarmID: "a", Tasks: stopping.Tasks}}}, nil,
		},
		"then the new one starts": {
			facts{Active: 1, Target: 2, Ready: true, Left: true, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: up("a", 0)}}, steps{start(2)},
		},
		"one that was to be alone makes way for one that does not care": {
			facts{Active: 1, Target: 2, Ready: true, Writes: none, Alone: flags{1: true}, Replicas: one, Observed: seen{1: up("a", 1)}}, steps{leave(1)},
		},
		"a reader does not start beside a writer that is to be alone": {
			facts{Active: 1, Target: 2, Ready: true, Writes: flags{1: true, 2: false}, Alone: flags{1: true}, Replicas: one, Observed: seen{1: up("a", 1)}}, steps{leave(1)},
		},
		"the old one waits for the failed one": {
			facts{Active: 1, Target: 1, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: up("a", 0), 2: up("b", 1)}}, steps{remove(2, "b")},
		},
		"and comes back": {
			facts{Active: 1, Target: 1, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: up("a", 0)}}, steps{scale(1, "a", 1)},
		},
		"a lost one comes back when it has stopped": {
			facts{Active: 1, Target: 1, Writes: none, Alone: flags{1: true}, Replicas: one, Observed: seen{1: stopping}}, nil,
		},
		"who asks for it while both run has the old one leave at once": {
			facts{Active: 1, Target: 2, Ready: true, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: up("a", 1), 2: up("b", 1)}}, steps{leave(1)},
		},
		"and the new one serves once it is healthy": {
			facts{Active: 1, Target: 2, Ready: true, Left: true, Writes: none, Alone: flags{2: true}, Replicas: one, Observed: seen{1: up("a", 0), 2: up("b", 1)}, Verdict: done}, steps{activate(2)},
		},
		"who stays connected to a stray keeps its successor waiting": {
			facts{Active: 2, Target: 3, Ready: true, Left: true, Writes: flags{1: false, 2: false, 3: false}, Alone: flags{3: true}, Busy: flags{1: true}, Replicas: count{2: 1, 3: 1}, Observed: seen{1: up("a", 1), 2: up("b", 0)}}, nil,
		},
	})
}

// scene is what is seen and what is to be done.
type scene struct {
	facts facts
	want  steps
}

func play(t *testing.T, scenes map[string]scene) {
	t.Helper()
	for says, c := range scenes {
		t.Run(says, func(t *testing.T) {
			if got := service.Next(c.facts); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}
