package service

import (
	"fmt"
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

// Verdict is the judgement of a rollout that was started.
type Verdict struct {
	Healthy int    // tasks that are well
	Done    bool   // all that were asked for are, or it ran to its end as it should
	Failed  bool   // it will not get there
	Reason  string // why it failed, or what it still waits for; one clause
}

// Judge looks at one rollout. started is when it was first seen.
func Judge(want spec.Service, o Observed, at Moment) Verdict {
	v := Verdict{}
	failures := 0
	var last *Task
	complete := 0
	for i, t := range o.Tasks {
		switch {
		case Healthy(t, at.Accepts, at.Now):
			v.Healthy++
		case t.State == Complete:
			complete++
		case t.State == Failed:
			failures++
		}
		if t.State == Failed && last == nil {
			last = &o.Tasks[i]
		}
	}
	switch {
	case want.Restart.Policy == spec.Never && complete >= want.Replicas,
		want.Restart.Policy == spec.OnFailure && complete >= want.Replicas && v.Healthy == 0:
		v.Done = true
		return v
	case v.Healthy >= want.Replicas:
		v.Done = true
		return v
	case last != nil && (failures >= 3 || want.Restart.Policy == spec.Never):
		v.Failed, v.Reason = true, Ending(*last)
		return v
	}
	v.Reason = waitsFor(o)
	if limit := patience(want, o); at.Now.Sub(at.Started) > limit {
		v.Failed = true
		v.Reason = fmt.Sprintf("not healthy after %s: %s", limit, v.Reason)
		if last != nil {
			v.Reason += "; before that, " + Ending(*last)
		}
	}
	return v
}

// Moment is when and how Judge looks.
type Moment struct {
	Now     time.Time
	Started time.Time
	Accepts Accepts
}

func patience(want spec.Service, o Observed) time.Duration {
	limit := Patience
	if h := want.Health; h != nil {
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
	case t.ExitCode != 0:
		return fmt.Sprintf("it exited with code %d", t.ExitCode)
	case t.Error != "":
		return "the engine says: " + oneLine(t.Error)
	default:
		return "it ended"
	}
}

func waitsFor(o Observed) string {
	live := o.Live()
	if len(live) == 0 {
		return "no container of it runs yet"
	}
	t := live[0]
	switch {
	case t.State == Waiting:
		if t.Error != "" {
			return "the swarm has not placed it: " + oneLine(t.Error)
		}
		return "the swarm has not placed it yet"
	case t.Health == "unhealthy" || t.Health == "starting" && t.HealthLog != "":
		return "its health check fails: " + oneLine(t.HealthLog)
	case t.State == Starting:
		return "its health check has not passed yet"
	default:
		return "it runs, but its ports do not accept connections yet"
	}
}
