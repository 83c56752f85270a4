package project

import (
	"slices"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// Action is a step of one service.
type Action struct {
	Service spec.ServiceID
	Name    string
	service.Step
	Joins []Join // of Start
}

// View is what Next and Status look at besides the record.
type View struct {
	Snapshot service.Snapshot
	Accepts  func(t service.Task, ports []uint16) bool // the ports took a connection through the portal
	Quiet    func(o service.Observed) bool             // no connection leads to its containers, nor can a new one; nil: nobody knows
	Links    Links                                     // between all projects
	Now      time.Time
	Backoff  service.Backoff // how long what crashes again and again rests
}

// Farewell is how long who is connected to a rollout may stay after it left the
// routes. A successor that waits for its volumes waits less long, because new
// connections are held meanwhile.
const (
	Farewell      = 30 * time.Second
	shortFarewell = 8 * time.Second
)

// Next says what to do now for each service of r, in start order. Services
// that need others wait until those are there.
func Next(r Record, v View) []Action {
	var actions []Action
	for _, s := range r.inOrder() {
		for _, step := range service.Next(facts(r, s, v)) {
			a := Action{Service: s.ID, Name: s.Name, Step: step}
			if ro := s.Rollout(step.Rollout); ro != nil && step.Verb == service.Start {
				a.Joins = v.Links.Joins(r, s, ro)
			}
			actions = append(actions, a)
		}
	}
	return append(actions, strays(r, v)...)
}

// inOrder are the services that are there in start order, then those whose
// declaration never came to anything: what is left of them from before goes.
func (r *Record) inOrder() []*Service {
	var all []*Service
	order, _ := spec.StartOrder(r.Declared)
	for _, name := range order {
		if s := r.Service(name); s != nil && !s.Removed {
			all = append(all, s)
		}
	}
	for _, s := range r.Present() {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func facts(r Record, s *Service, v View) service.Facts {
	f := service.Facts{
		Stopped: s.Stopped, Active: s.Active, Target: s.Target,
		Replicas: map[int]int{}, Writes: map[int]bool{}, Alone: map[int]bool{}, Verdict: map[int]service.Verdict{},
		Observed: Observed(v.Snapshot, s.ID), Ready: closed(r, s, v) == nil, Left: s.Leaves(), Busy: map[int]bool{}, Rests: map[int]bool{},
	}
	for n, o := range f.Observed {
		f.Busy[n] = busy(s, o, v)
	}
	for _, ro := range s.Rollouts {
		f.Replicas[ro.Number] = ro.Spec.Replicas
		f.Writes[ro.Number], f.Alone[ro.Number] = ro.Spec.WritesData(), ro.Spec.Order == spec.StopFirst
		if ro.Trouble.Resting() {
			f.Replicas[ro.Number], f.Rests[ro.Number] = 0, true
		}
	}
	if resumes(r, s, v) != nil {
		f.Replicas[s.Active] = 0
	}
	if t := s.Rollout(s.Target); t != nil {
		f.Failed = t.State == Failed
		if o, there := f.Observed[s.Target]; there {
			f.Verdict[s.Target] = judge(t, o, v)
		}
	}
	return f
}

// busy tells whether somebody may still be connected to a rollout that left the
// routes. One that never was in them, or of which nothing is remembered, is not.
func busy(s *Service, o service.Observed, v View) bool {
	ro := s.Rollout(o.Rollout)
	if ro == nil || len(o.Live()) == 0 {
		return false
	}
	limit := Farewell
	if s.Active == o.Rollout {
		limit = shortFarewell
	}
	return v.Now.Sub(ro.Left) < limit && (v.Quiet == nil || !v.Quiet(o))
}

func judge(ro *Rollout, o service.Observed, v View) service.Verdict {
	at := moment(ro, v)
	if t := ro.Trouble; t != nil && t.Tried.After(at.Started) {
		at.Started = t.Tried
	}
	if ro.State == Active {
		at.Started = replaced(ro, o, at.Started, v.Now)
	}
	return service.Judge(ro.Spec, o, at)
}

func moment(ro *Rollout, v View) service.Moment {
	ports := reached(ro.Spec)
	started := ro.Started
	if started.IsZero() {
		started = v.Now // its time has not begun
	}
	return service.Moment{
		Now: v.Now, Started: started,
		Accepts: func(t service.Task) bool { return len(ports) == 0 || v.Accepts(t, ports) },
	}
}

// replaced is when a rollout that serves was last hurt or mended: a container
// that is replaced has its time, too.
func replaced(ro *Rollout, o service.Observed, started, now time.Time) time.Time {
	if len(o.Tasks) == 0 {
		return now
	}
	for _, t := range o.Tasks {
		if t.Created.After(started) {
			started = t.Created
		}
		if service.Bad(ro.Spec, t) && t.Since.After(started) {
			started = t.Since
		}
	}
	return started
}

// reached are the ports that the ingress leads to; they must accept.
func reached(s spec.Service) []uint16 {
	ports := service.Ports(s)
	for _, d := range s.Domains {
		if p, err := backendPort(s, d); err == nil && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	return ports
}

// Observed is what runs of a service, by rollout.
func Observed(snap service.Snapshot, id spec.ServiceID) map[int]service.Observed {
	found := map[int]service.Observed{}
	for _, o := range snap.Services {
		if o.ID == id {
			found[o.Rollout] = o
		}
	}
	return found
}

// strays are swarm services of the project that nobody asked for any more.
func strays(r Record, v View) []Action {
	var actions []Action
	for _, o := range v.Snapshot.Services {
		if o.Project != r.ID || o.SwarmID == "" || !r.Removed && r.ByID(o.ID) != nil {
			continue
		}
		actions = append(actions, Action{Service: o.ID, Step: service.Step{Verb: service.Remove, Rollout: o.Rollout, SwarmID: o.SwarmID}})
	}
	return actions
}

// Apply changes r as a step says that only touches the record.
func (r *Record) Apply(a Action, lines []string, now time.Time) {
	s := r.ByID(a.Service)
	if s == nil {
		return
	}
	s.Rollouts = slices.Clone(s.Rollouts)
	ro := s.Rollout(a.Rollout)
	if ro == nil {
		return
	}
	switch a.Verb {
	case service.Start:
		if ro.Started.IsZero() {
			ro.Started = now
		}
		ro.Joins = a.Joins
	case service.Filled:
		ro.Started = now // its time to get healthy begins only now
	case service.Upgraded:
		ro.Started, ro.Upgraded = now, true
	case service.Leave:
		ro.leave(s.Target, now)
	case service.Activate:
		if old := s.Rollout(s.Active); old != nil && s.Active != a.Rollout {
			old.State = Retired
			old.leave(a.Rollout, now)
		}
		ro.State, ro.Reason, ro.Lines = Active, "", nil
		s.Active, s.Target = a.Rollout, a.Rollout
	case service.Fail:
		ro.State, ro.Reason, ro.Lines = Failed, a.Reason, lines
		if s.Active != 0 {
			s.Target = s.Active
		}
	case service.Scale, service.Remove: // the record does not hold these
	}
}

// Settled tells whether nothing is on its way for s any more, and how it ended.
func (s *Service) Settled() (done, ok bool) {
	if s.Removed || s.Stopped {
		return true, true
	}
	t := s.Rollout(s.Target)
	if t == nil { // what never began has failed, if anything was ever asked
		return true, s.Last() == 0
	}
	if t.State == Failed {
		return true, false
	}
	return s.Target == s.Active, s.Last() == s.Active || s.Rollout(s.Last()).State != Failed
}

// Restless tells whether a settled service is not as well as it should be.
func Restless(r Record, s *Service, v View) bool {
	f := facts(r, s, v)
	cur := s.Rollout(s.Target)
	return !s.Stopped && cur != nil && cur.Spec.Runs() && !f.Verdict[s.Target].Done
}
