package project

import (
	"fmt"
	"slices"

	"havre/internal/service"
	"havre/internal/spec"
)

// gate is what the target of a service waits for.
type gate struct {
	name string // as the service knows it
	full string // environment.project.service; "" of a volume
	is   string // how far it must be
	hard bool   // it is waited for even when it will not come
	need spec.Need
	link spec.Link
}

func (g gate) String() string { return g.name + " to be " + g.is }

// closed is the first gate that keeps the target of s from starting; nil when
// there is none. A need is waited for in any case. A link is waited for as long
// as its target is on its way and not after s in the order of starting, which
// priority decides where links go in circles.
func closed(r Record, s *Service, v View) *gate {
	if s.Target == s.Active {
		return resumes(r, s, v)
	}
	declared, _ := r.Declared.Service(s.Name)
	for _, n := range declared.Needs {
		if !met(r, n, v) {
			return &gate{name: n.Service, full: r.Environment + "." + r.Name + "." + n.Service, is: string(n.Condition), hard: true, need: n}
		}
	}
	t := s.Rollout(s.Target)
	if t == nil {
		return nil
	}
	for _, l := range t.Spec.Links {
		if g := linkGate(r, s, l, v); g != nil {
			return g
		}
	}
	for _, a := range r.Awaits {
		if slices.ContainsFunc(t.Spec.Mounts, func(m spec.Mount) bool { return m.Kind == spec.Volume && m.Source == a.Volume }) {
			return &gate{name: "the volume " + a.Volume, is: "filled with what " + a.From + " has"}
		}
	}
	return nil
}

// resumes is what a service that was stopped waits for, of those that were
// started at the same moment. After a reboot nobody waits: the engine starts
// what ran.
func resumes(r Record, s *Service, v View) *gate {
	cur := s.Rollout(s.Active)
	o := Observed(v.Snapshot, s.ID)[s.Active]
	if cur == nil || s.Stopped || s.Target != s.Active || o.SwarmID == "" || o.Replicas > 0 {
		return nil
	}
	declared, _ := r.Declared.Service(s.Name)
	for _, name := range Towards(declared) {
		t := r.Service(name)
		if t == nil || t.Removed || t.Stopped || t.ID == s.ID || !v.Links.before(Ref{&r, t}, Ref{&r, s}) {
			continue
		}
		other := t.Rollout(t.Target)
		if other == nil || !other.Spec.Runs() || other.Trouble.Resting() || !other.Started.Equal(cur.Started) {
			continue
		}
		if w := judge(other, Observed(v.Snapshot, t.ID)[t.Target], v); !w.Done && !w.Failed {
			return &gate{name: name, full: Ref{&r, t}.String(), is: string(spec.Healthy)}
		}
	}
	return nil
}

// Towards are the services of its project that s needs or links to.
func Towards(s spec.Service) []string {
	var all []string
	for _, n := range s.Needs {
		all = append(all, n.Service)
	}
	for _, l := range s.Links {
		if _, _, outside := l.Outside(); !outside {
			all = append(all, l.To)
		}
	}
	return all
}

// linked finds the target of a link that s may wait for.
func linked(r Record, s *Service, l spec.Link, v View) (to Ref, outside, ok bool) {
	_, _, outside = l.Outside()
	if outside {
		to, ok = v.Links.Target(r, l)
	} else if t := r.Service(l.To); t != nil && !t.Removed && t.ID != s.ID {
		to, ok = Ref{&r, t}, true
	}
	if !ok || to.Service.Stopped || to.Service.Current() == nil || !to.Service.Current().Spec.Runs() {
		return to, outside, false
	}
	return to, outside, v.Links.before(to, Ref{&r, s})
}

func linkGate(r Record, s *Service, l spec.Link, v View) *gate {
	to, outside, ok := linked(r, s, l, v)
	if !ok {
		return nil
	}
	g := &gate{name: l.To, full: to.String(), is: string(spec.Healthy), link: l}
	done, _ := to.Service.Settled()
	serves := to.Service.Rollout(to.Service.Active)
	switch {
	case outside && serves != nil && !serves.joined(r.ID, l.Name()):
		g.name, g.is, g.hard = to.Record.Name+"."+to.Service.Name, "on the network of the link", true
		return g
	case outside && serves != nil, done, stuck(*to.Record, to.Service, v) != "":
		return nil
	}
	return g
}

// stuck tells why what s needs will not come, "" when it may.
func stuck(r Record, s *Service, v View) string {
	declared, _ := r.Declared.Service(s.Name)
	for _, n := range declared.Needs {
		t := r.Service(n.Service)
		if t == nil || t.Current() == nil || met(r, n, v) {
			continue
		}
		done, well := t.Settled()
		state, _ := state(Ref{&r, t}, judge(t.Current(), Observed(v.Snapshot, t.ID)[t.Current().Number], v), v)
		waits := fmt.Sprintf("it waits for %s to be %s, and %s ", n.Service, n.Condition, n.Service)
		switch {
		case t.Stopped:
			return waits + "was stopped"
		case done && !well:
			return waits + "failed"
		case done && (state == "failing" || state == "idle"):
			return waits + "is " + state
		}
		if why := stuck(r, t, v); !done && why != "" {
			return waits + "does not start: " + why
		}
	}
	if g := closed(r, s, v); g != nil && g.hard && g.need.Service == "" {
		return unjoined(r, s, *g, v)
	}
	return ""
}

// unjoined tells why the target of a link to another project will not get to
// the network of the link.
func unjoined(r Record, s *Service, g gate, v View) string {
	to, _, _ := linked(r, s, g.link, v)
	waits := fmt.Sprintf("it waits for %s, and ", g)
	last := to.Service.Rollout(to.Service.Last())
	switch {
	case last.State == Failed && last.joined(r.ID, g.link.Name()):
		return fmt.Sprintf("%sr%d of %s, which would be, failed: %s", waits, last.Number, g.name, last.Reason)
	case to.Service.Target == to.Service.Active:
		return "" // its new rollout is about to be recorded
	}
	if why := stuck(*to.Record, to.Service, v); why != "" {
		return waits + g.name + " does not start: " + why
	}
	return ""
}

// met tells whether a need is there.
func met(r Record, n spec.Need, v View) bool {
	s := r.Service(n.Service)
	if s == nil || s.Removed || s.Current() == nil {
		return false
	}
	cur := s.Rollout(s.Target)
	o := Observed(v.Snapshot, s.ID)[cur.Number]
	switch n.Condition {
	case spec.Healthy:
		return s.Active == s.Target && judge(cur, o, v).Done
	case spec.Completed:
		return slices.ContainsFunc(o.Tasks, completed)
	default:
		return slices.ContainsFunc(o.Tasks, running) || slices.ContainsFunc(o.Tasks, completed)
	}
}

func completed(t service.Task) bool { return t.State == service.Complete }
func running(t service.Task) bool   { return t.State == service.Running }
