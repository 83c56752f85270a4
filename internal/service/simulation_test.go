package service_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// made is a rollout as a record remembers it.
type made struct {
	writes, alone, good bool
	replicas            int
	started             time.Time
}

// box is a container of the simulated swarm.
type box struct {
	rollout int
	state   service.State
	since   time.Time
}

// sim is a record, a person who changes her mind, and a small slow swarm.
type sim struct {
	t    *testing.T
	r    *rand.Rand
	now  time.Time
	made map[int]*made

	stopped, failed bool
	active, target  int
	left            int          // the target that active makes way for
	open            map[int]bool // rollouts that somebody is connected to
	routed          int          // the rollout that the ingress leads to

	told  map[int]int // swarm services: how many containers each was told to have
	boxes []*box
	log   []string
}

func newSim(t *testing.T, seed uint64) *sim {
	return &sim{t: t, r: rand.New(rand.NewPCG(seed, 1)), now: noon, made: map[int]*made{}, told: map[int]int{}, open: map[int]bool{}}
}

func (s *sim) say(format string, args ...any) { s.log = append(s.log, fmt.Sprintf(format, args...)) }

func (s *sim) wrong(format string, args ...any) {
	s.t.Helper()
	for _, l := range s.log[max(0, len(s.log)-30):] {
		s.t.Log(l)
	}
	s.t.Fatalf(format, args...)
}

// person applies, stops or starts.
func (s *sim) person(writes bool) {
	switch s.r.IntN(4) {
	case 0:
		s.stopped = !s.stopped
		s.say("stopped: %v", s.stopped)
		if m := s.made[s.target]; m != nil {
			m.started, s.failed = s.now, false
		}
	default:
		s.apply(writes || s.r.IntN(2) == 0, s.r.IntN(3) > 0)
	}
}

func (s *sim) apply(writes, good bool) {
	n := len(s.made) + 1
	s.made[n] = &made{writes: writes, alone: s.r.IntN(5) == 0, good: good, replicas: 1 + s.r.IntN(2)}
	s.target, s.failed = n, false
	s.say("apply r%d: %+v", n, *s.made[n])
}

// swarm lets time pass: containers come, fail, and take their time to go.
func (s *sim) swarm() {
	s.now = s.now.Add(time.Second)
	running := map[int]int{}
	for _, b := range s.boxes {
		switch {
		case b.state.Ended():
		case running[b.rollout] >= s.told[b.rollout]: // too many
			if s.r.IntN(3) == 0 {
				b.state, b.since = service.Stopped, s.now
			}
		case b.state == service.Starting && s.r.IntN(2) == 0:
			b.state, b.since = service.Running, s.now
			running[b.rollout]++
		case b.state == service.Running && !s.made[b.rollout].good && (s.r.IntN(2) == 0 || s.now.Sub(b.since) > 3*time.Second):
			b.state, b.since = service.Failed, s.now
		default:
			running[b.rollout]++
		}
	}
	for n, want := range s.told {
		for ; running[n] < want && s.r.IntN(2) == 0; running[n]++ {
			s.boxes = append(s.boxes, &box{n, service.Starting, s.now})
		}
	}
	s.apart()
	s.clients()
}

// clients come to the rollout that the ingress leads to, and leave.
func (s *sim) clients() {
	for n := range s.open {
		if s.r.IntN(3) == 0 {
			delete(s.open, n)
		}
	}
	if s.r.IntN(2) == 0 { // the ingress hears a little late
		s.routed = s.active
		if s.stopped || s.left == s.target && s.target != s.active {
			s.routed = 0
		}
	}
	if s.routed != 0 && s.r.IntN(2) == 0 {
		s.open[s.routed] = true
	}
}

// apart holds promise 4: never two rollouts that write at once, nor any beside
// one that is to be alone.
func (s *sim) apart() {
	for i, a := range s.boxes {
		for _, b := range s.boxes[:i] {
			if a.rollout != b.rollout && !a.state.Ended() && !b.state.Ended() && s.excludes(a.rollout, b.rollout) {
				s.wrong("r%d and r%d run at once: %+v, %+v", a.rollout, b.rollout, *s.made[a.rollout], *s.made[b.rollout])
			}
		}
	}
}

func (s *sim) excludes(n, m int) bool {
	a, b := s.made[n], s.made[m]
	return a.writes && b.writes || a.alone || b.alone
}

func (s *sim) facts() service.Facts {
	f := service.Facts{
		Stopped: s.stopped, Active: s.active, Target: s.target, Failed: s.failed, Ready: s.r.IntN(5) > 0,
		Left: s.left == s.target, Busy: map[int]bool{},
		Replicas: map[int]int{}, Writes: map[int]bool{}, Alone: map[int]bool{}, Verdict: map[int]service.Verdict{}, Observed: map[int]service.Observed{},
	}
	for n, m := range s.made {
		f.Replicas[n], f.Writes[n], f.Alone[n] = m.replicas, m.writes, m.alone
		o := s.observed(n)
		if o.SwarmID == "" && len(o.Live()) == 0 {
			continue
		}
		f.Observed[n], f.Busy[n] = o, s.open[n] || s.routed == n
		started := m.started
		if started.IsZero() {
			started = s.now
		}
		f.Verdict[n] = service.Judge(spec.Service{Replicas: m.replicas}, o, service.Moment{Now: s.now, Started: started, Accepts: all})
	}
	return f
}

func (s *sim) observed(n int) service.Observed {
	var o service.Observed
	if replicas, there := s.told[n]; there {
		o.SwarmID, o.Replicas = fmt.Sprint(n), replicas
	}
	for i := len(s.boxes) - 1; i >= 0; i-- {
		if b := s.boxes[i]; b.rollout == n {
			o.Tasks = append(o.Tasks, service.Task{Slot: 1, State: b.state, Since: b.since, ExitCode: 1})
		}
	}
	return o
}

// loop does what Next says, sometimes late, and sometimes a step does not work.
func (s *sim) loop(trouble bool) (steps int) {
	f := s.facts()
	all := service.Next(f)
	if trouble && s.r.IntN(2) == 0 {
		s.swarm() // what Next saw is old by now
	}
	for _, step := range all {
		if trouble && s.r.IntN(6) == 0 {
			return len(all)
		}
		s.say("%+v", step)
		s.neverWithoutOne(f, step)
		s.do(step)
	}
	return len(all)
}

// neverWithoutOne holds promise 4: what serves stays until its successor is
// there, unless the two exclude each other or the person stopped it.
func (s *sim) neverWithoutOne(f service.Facts, step service.Step) {
	takes := step.Verb == service.Remove || step.Verb == service.Scale && step.Replicas == 0
	if takes && !s.stopped && f.Busy[step.Rollout] {
		s.wrong("r%d is taken from who is connected to it: %+v", step.Rollout, step)
	}
	if !takes || step.Rollout != s.active || s.stopped {
		return
	}
	if s.target == s.active || !s.excludes(s.active, s.target) {
		s.wrong("r%d serves and is taken away: %+v", s.active, step)
	}
}

func (s *sim) do(step service.Step) {
	n := step.Rollout
	switch step.Verb {
	case service.Start:
		if s.made[n].started.IsZero() {
			s.made[n].started = s.now
		}
		s.told[n] = s.made[n].replicas
	case service.Scale:
		if _, there := s.told[n]; there {
			s.told[n] = step.Replicas
		}
	case service.Remove:
		delete(s.told, n)
	case service.Leave:
		s.left = s.target
	case service.Activate:
		s.active, s.target, s.failed = n, n, false
	case service.Fail:
		if s.failed = s.active == 0; !s.failed {
			s.target = s.active
		}
	}
}

func TestAnyHistoryKeepsThePromises(t *testing.T) {
	for seed := range uint64(600) {
		s := newSim(t, seed)
		writes := seed%2 == 0
		for range 120 {
			if s.r.IntN(12) == 0 {
				s.person(writes)
			}
			s.swarm()
			s.loop(true)
		}
		s.stopped = false
		s.apply(writes, true)
		last := s.target
		for range 300 {
			s.swarm()
			if s.loop(false); s.active == last && len(s.told) == 1 && s.told[last] == s.made[last].replicas {
				break
			}
		}
		if s.active != last || len(s.told) != 1 || s.told[last] != s.made[last].replicas {
			s.wrong("seed %d: a good r%d does not get there: r%d serves, swarm services %v", seed, last, s.active, s.told)
		}
		for range 40 {
			s.swarm()
		}
		if n := s.loop(false); n != 0 {
			s.wrong("seed %d: at rest, there are %d steps", seed, n)
		}
	}
}

func TestFailedUpdateLeavesTheOldOne(t *testing.T) {
	for seed := range uint64(100) {
		s := newSim(t, seed)
		settle := func() {
			for range 150 {
				s.swarm()
				s.loop(false)
			}
		}
		s.apply(seed%2 == 0, true)
		settle()
		s.apply(seed%2 == 0, false)
		settle()
		if s.active != 1 || s.target != 1 || len(s.told) != 1 || s.told[1] != s.made[1].replicas {
			s.wrong("seed %d: r%d serves, r%d is wanted, swarm services %v", seed, s.active, s.target, s.told)
		}
	}
}

func TestFailedFirstRolloutStaysAndMayGetHealthy(t *testing.T) {
	s := newSim(t, 7)
	s.apply(true, false)
	for range 60 {
		s.swarm()
		s.loop(false)
	}
	if !s.failed || s.active != 0 || s.told[1] == 0 {
		s.wrong("failed %v, r%d serves, swarm services %v", s.failed, s.active, s.told)
	}
	s.made[1].good = true // what it lacked has come
	for range 60 {
		s.swarm()
		s.loop(false)
	}
	if s.active != 1 {
		s.wrong("it is well and does not serve")
	}
}
