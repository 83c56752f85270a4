package service

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"havre/internal/spec"
)

// Settle is how long a container without a health check must have lived
// before it counts as healthy.
const Settle = 5 * time.Second

// Patience is how long a rollout may take to get healthy, beyond the time its
// health check itself asks for.
const Patience = 90 * time.Second

// Accepts answers whether a task's TCP ports took a connection through the portal.
type Accepts func(t Task) bool

// Healthy tells whether t does what its service is for: its check passes;
// without one, its ports accept and it has lived for Settle.
func Healthy(t Task, accepts Accepts, now time.Time) bool {
	if t.State != Running {
		return false
	}
	if t.Health != "" {
		return t.Health == "healthy"
	}
	return now.Sub(t.Since) >= Settle && accepts(t)
}

// Ports are the TCP ports that must accept for a service without a check.
func Ports(s spec.Service) []uint16 {
	var ports []uint16
	seen := map[uint16]bool{}
	for _, p := range s.Ports {
		if p.Protocol == spec.TCP && !seen[p.Internal] {
			seen[p.Internal] = true
			ports = append(ports, p.Internal)
		}
	}
	return ports
}

// InnerPorts are the TCP ports on which a service can be reached inside.
func InnerPorts(s spec.Service) []uint16 {
	ports := Ports(s)
	for _, p := range s.Expose {
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	slices.Sort(ports)
	return ports
}

// Verdict is the judgement of a rollout that was started.
type Verdict struct {
	Healthy int    // tasks that are well
	Done    bool   // all that were asked for are, or it ran to its end as it should
	Failed  bool   // it will not get there
	Reason  string // why it failed, or what it still waits for; one clause
}

// loops is how many bad ends of one container in a row make a crash loop.
const loops = 3

// Judge looks at one rollout.
func Judge(want spec.Service, o Observed, at Moment) Verdict {
	v := Verdict{}
	complete := 0
	newest := map[int]bool{}
	for _, t := range o.Tasks {
		if Healthy(t, at.Accepts, at.Now) {
			v.Healthy++
		}
		if t.State == Complete && !newest[t.Slot] {
			complete++
		}
		newest[t.Slot] = true
	}
	once := want.Restart.Policy == spec.Never || want.Restart.Policy == spec.OnFailure
	last, most := failures(want, o, at.Started)
	switch {
	case v.Healthy >= want.Replicas, once && v.Healthy+complete >= want.Replicas:
		v.Done = true
		return v
	case last != nil && (most >= loops || spent(want, o, most)):
		v.Failed, v.Reason = true, Ending(*last)
		return v
	}
	v.Reason = waitsFor(o, at)
	if limit := patience(want); at.Now.Sub(at.Started) > limit {
		v.Failed = true
		v.Reason = fmt.Sprintf("not healthy after %s: %s", limit, v.Reason)
	}
	if last != nil {
		v.Reason += "; before that, " + Ending(*last)
	}
	return v
}

// failures gives the newest task that ended badly since a time, and how often
// that happened to the container that fares worst.
func failures(want spec.Service, o Observed, since time.Time) (last *Task, most int) {
	count := map[int]int{}
	for i, t := range o.Tasks {
		if !Bad(want, t) || t.Since.Before(since) {
			continue
		}
		if last == nil {
			last = &o.Tasks[i]
		}
		count[t.Slot]++
		most = max(most, count[t.Slot])
	}
	return last, most
}

// Bad tells whether a task ended as it should not: with a failure, or at all
// when its service is always to run.
func Bad(want spec.Service, t Task) bool {
	always := want.Restart.Policy == "" || want.Restart.Policy == spec.Always
	return t.State == Failed || t.State == Complete && always
}

// spent tells whether the swarm will not start the service's containers again.
func spent(want spec.Service, o Observed, failed int) bool {
	switch want.Restart.Policy {
	case spec.Never:
		return true
	case spec.OnFailure:
		return want.Restart.Attempts > 0 && failed > want.Restart.Attempts && len(o.Live()) == 0
	}
	return false
}

// CheckStart is how long failed checks of a new container do not count: as its
// declaration or image says, else for as long as a start may take. The swarm
// ends what its check finds ill, and published files, whose authors know Compose,
// which never does, say nothing of it. 0 is no check.
func CheckStart(s spec.Service, i Image) time.Duration {
	own := s.Health != nil && len(s.Health.Test) > 0
	switch {
	case own && s.Health.Test[0] == "NONE", !own && !i.Health:
		return 0
	case s.Health != nil && s.Health.Start > 0:
		return s.Health.Start.Std()
	case !own && i.Start > 0:
		return i.Start
	}
	return Patience
}

// Moment is when and how Judge looks.
type Moment struct {
	Now     time.Time
	Started time.Time // when it was asked for; what failed before does not count
	Accepts Accepts
}

func patience(want spec.Service) time.Duration {
	limit := Patience
	if h := want.Health; h != nil && (len(h.Test) == 0 || h.Test[0] != "NONE") {
		interval, retries := h.Interval.Std(), h.Retries
		if interval == 0 {
			interval = 30 * time.Second
		}
		if retries == 0 {
			retries = 3
		}
		limit += h.Start.Std() + interval*time.Duration(retries+1)
	}
	return limit
}

// Ending says in a clause how a task ended.
func Ending(t Task) string {
	switch {
	case t.OOM:
		return "it was killed for using more memory than its limit (OOM, exit code 137)"
	case t.Health == "unhealthy":
		return "its health check failed: " + oneLine(t.HealthLog)
	case t.Error != "" && (t.ExitCode == 0 || !plainExit(t.Error)):
		return "the engine says: " + oneLine(t.Error)
	case t.ExitCode != 0:
		return fmt.Sprintf("it exited with code %d", t.ExitCode)
	default:
		return "it ended by itself, with exit code 0"
	}
}

// plainExit tells whether the engine's words say no more than the exit code.
// SwarmKit gives a container that could not be started a code, too, and tells
// why in words only (agent/exec, ExitError).
func plainExit(words string) bool { return strings.HasPrefix(words, "task: non-zero exit") }

func waitsFor(o Observed, at Moment) string {
	live := o.Live()
	if len(live) == 0 {
		return "no container of it runs yet"
	}
	t := live[0]
	if i := slices.IndexFunc(live, func(t Task) bool { return !Healthy(t, at.Accepts, at.Now) }); i > 0 {
		t = live[i]
	}
	switch {
	case t.Duty != "" && t.State == Waiting && t.Error != "":
		return "the swarm has not placed its " + string(t.Duty) + ": " + oneLine(t.Error)
	case t.Duty == Init:
		return "its init fills its new volumes"
	case t.Duty == Upgrade:
		return "its upgrade brings its data to the new image"
	case t.State == Waiting:
		if t.Error != "" {
			return "the swarm has not placed it: " + oneLine(t.Error)
		}
		return "the swarm has not placed it yet"
	case t.Health == "unhealthy" || t.Health == "starting" && t.HealthLog != "":
		return "its health check fails: " + oneLine(t.HealthLog)
	case t.State == Starting && t.Health == "":
		return "its container is being started"
	case t.State == Starting:
		return "its health check has not passed yet"
	case at.Accepts(t):
		return fmt.Sprintf("it runs, and counts as healthy when it has lived for %s", Settle)
	default:
		return "it runs, but its ports do not accept connections yet"
	}
}
