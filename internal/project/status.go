package project

import (
	"fmt"
	"slices"
	"time"

	"havre/internal/api"
	"havre/internal/service"
	"havre/internal/spec"
)

// Outside is what only others know about a service: whether its ports could
// be bound, for one.
type Outside struct {
	Listeners map[Port]string   // outside ports that could not be bound, and why
	Sick      map[string]string // containers that the ingress's check takes out, by id, and why
	HTTPPort  uint16            // where the ingress serves domains; 0: nobody knows
	HTTPSPort uint16
	Suffix    string // of default domains; "" is none

	Certificates map[string]string // hosts that should have a public certificate and have none, and why
}

// Serves tells whether the ingress serves domains at a port, by the flag that
// moves it; "" when it does not.
func (o Outside) Serves(p Port) string {
	switch {
	case p.Protocol != spec.TCP || p.Number == 0:
	case p.Number == o.HTTPPort:
		return "--http-port"
	case p.Number == o.HTTPSPort:
		return "--https-port"
	}
	return ""
}

// Status says how a service is.
func Status(r Record, s *Service, v View, out Outside) api.Service {
	a := api.Service{Name: s.Name, Project: r.Name, Environment: r.Environment}
	cur := s.Current()
	if cur == nil {
		a.State, a.Says = "starting", "it was declared, but has no rollout yet"
		if last := s.Rollout(s.Last()); last != nil {
			a.State, a.Says, a.Image = "failing", lastFailure(s), last.Spec.Image
		}
		return a
	}
	a.Image, a.Rollout, a.Replicas = cur.Spec.Image, cur.Number, cur.Spec.Replicas
	a.Ports, a.URLs = PortWords(cur.Spec), URLs(Ref{&r, s}, out.Suffix, out.HTTPSPort)
	o := Observed(v.Snapshot, s.ID)[cur.Number]
	for _, t := range o.Tasks {
		if service.Bad(cur.Spec, t) {
			a.Restarts++
			a.LastEnd = latest(a.LastEnd, t)
		}
		a.Tasks = append(a.Tasks, task(t))
		if says, sick := out.Sick[t.Container]; sick && t.State == service.Running {
			a.Tasks[len(a.Tasks)-1].Says = "the ingress sends nobody to it: " + says
		}
	}
	if t := cur.Trouble; t != nil {
		a.Restarts, a.LastEnd = max(a.Restarts, t.Crashes), latest(a.LastEnd, t.End)
		a.Trouble = &api.Trouble{Since: t.Since, Crashes: t.Crashes, Reason: service.Ending(t.End), Last: t.End.Since, Rests: t.Rests, Until: t.Until}
	}
	if live := o.Live(); len(live) > 0 {
		a.Since = live[0].Since
	}
	verdict := judge(cur, o, v)
	a.Healthy = verdict.Healthy
	a.State, a.Says = state(Ref{&r, s}, verdict, v)
	if a.State == "failing" && a.LastEnd != nil {
		a.Healthy = lasting(cur, o, v)
	}
	if says := portTrouble(cur.Spec, out); says != "" && a.State != "stopped" && a.State != "idle" {
		a.State, a.Says = "failing", says
	}
	if says, sick := checkTrouble(o, out); sick > 0 && a.State == "healthy" {
		a.Healthy = max(0, a.Healthy-sick)
		switch {
		case a.Healthy == 0:
			a.State, a.Says = "failing", "the ingress sends nobody to it, since its check finds it unwell: "+says
		case a.Says != "":
			a.Says += "; " + unwell(sick, len(o.Live()), says)
		default:
			a.Says = unwell(sick, len(o.Live()), says)
		}
	}
	return a
}

// checkTrouble is what the ingress's check finds wrong with o, and with how many
// of its containers.
func checkTrouble(o service.Observed, out Outside) (says string, sick int) {
	for _, t := range o.Tasks {
		if found, bad := out.Sick[t.Container]; bad && t.State == service.Running {
			says, sick = found, sick+1
		}
	}
	return says, sick
}

func unwell(sick, of int, says string) string {
	return fmt.Sprintf("the ingress sends nobody to %d of %d containers, since its check finds them unwell: %s", sick, of, says)
}

// latest is the newer of two bad ends.
func latest(e *api.End, t service.Task) *api.End {
	if e != nil && !t.Since.After(e.At) {
		return e
	}
	return &api.End{At: t.Since, Says: service.Ending(t)}
}

// lasting counts the containers that are well and have lived on: of those that
// end again and again one that just began is not.
func lasting(cur *Rollout, o service.Observed, v View) int {
	n, at := 0, moment(cur, v)
	for _, t := range o.Live() {
		if service.Healthy(t, at.Accepts, v.Now) && v.Now.Sub(t.Since) >= loopRest {
			n++
		}
	}
	return n
}

func task(t service.Task) api.Task {
	a := api.Task{Container: t.Container, Slot: t.Slot, State: string(t.State), Health: t.Health, Since: t.Since, ExitCode: t.ExitCode}
	if t.State == service.Failed {
		a.Says = service.Ending(t)
	}
	return a
}

func state(ref Ref, verdict service.Verdict, v View) (state, says string) {
	r, s, cur := *ref.Record, ref.Service, ref.Service.Current()
	loop := looping(s, v)
	if loop != nil && v.Now.Sub(loop.Since) >= loopRest {
		loop = nil
	}
	switch {
	case s.Stopped:
		return "stopped", "it was stopped with: havre stop"
	case !cur.Spec.Runs():
		return "idle", idleness(cur.Spec)
	case cur.Trouble.Resting() || tried(cur.Trouble, v.Now):
		return "failing", crashes(cur.Trouble)
	case loop != nil && cur.Trouble != nil && othersServe(s, loop.Slot, v):
		return "failing", uneven(cur, loop)
	case loop != nil:
		return "failing", "it starts again and again: " + service.Ending(*loop)
	case verdict.Done && verdict.Healthy < cur.Spec.Replicas:
		return "completed", ""
	case verdict.Done && s.Active == s.Target:
		return "healthy", lastFailure(s)
	case verdict.Done && s.Active != 0:
		return "healthy", fmt.Sprintf("rollout r%d is on its way", s.Target) + waiting(r, s, v)
	case verdict.Failed:
		return "failing", verdict.Reason
	case cur.State == Failed:
		return "failing", cur.Reason
	}
	if g := closed(r, s, v); g != nil && (s.Active == 0 || s.Target == s.Active) {
		return "starting", "it waits for " + g.String()
	}
	if last := lastFailure(s); last != "" && s.Target == s.Active { // what ended the update may keep its predecessor, too
		return "starting", verdict.Reason + "; " + last
	}
	return "starting", verdict.Reason
}

func idleness(s spec.Service) string {
	if s.Disabled {
		return "it is declared with status: disabled"
	}
	return "it is declared with no replicas"
}

// waiting tells what an update waits for that has not begun.
func waiting(r Record, s *Service, v View) string {
	g := closed(r, s, v)
	if g == nil || Observed(v.Snapshot, s.ID)[s.Target].SwarmID != "" {
		return ""
	}
	return ", and waits for " + g.String()
}

// lastFailure tells that the newest rollout was given up while an older one serves.
func lastFailure(s *Service) string {
	if last := s.Rollout(s.Last()); last != nil && last.State == Failed {
		return fmt.Sprintf("rollout r%d failed: %s", last.Number, last.Reason)
	}
	return ""
}

// So many bad ends of one container in so short a time are a crash loop: once
// may be an accident. It counts as over when the container has lived on for loopRest.
const (
	loopWindow = 2 * time.Minute
	loopCount  = 2
	loopRest   = 30 * time.Second
)

// looping finds the last bad end of the container of the rollout that serves
// that is deepest in a crash loop.
func looping(s *Service, v View) *service.Task {
	cur := s.Rollout(s.Active)
	if cur == nil {
		return nil
	}
	last, count, most := map[int]*service.Task{}, map[int]int{}, 0 // by slot
	for _, t := range Observed(v.Snapshot, s.ID)[s.Active].Tasks {
		if service.Bad(cur.Spec, t) && v.Now.Sub(t.Since) < loopWindow && !t.Since.Before(cur.Started) {
			if last[t.Slot] == nil {
				last[t.Slot] = &t
			}
			if count[t.Slot]++; count[t.Slot] > count[most] {
				most = t.Slot
			}
		}
	}
	if count[most] < loopCount {
		return nil
	}
	return last[most]
}

// othersServe tells whether a container in another slot is healthy: then the
// one that crashes cannot rest, for a rest takes all of them (decision 0030).
func othersServe(s *Service, slot int, v View) bool {
	cur := s.Current()
	at := moment(cur, v)
	return slices.ContainsFunc(Observed(v.Snapshot, s.ID)[cur.Number].Tasks, func(t service.Task) bool {
		return t.Slot != slot && service.Healthy(t, at.Accepts, v.Now)
	})
}

// uneven says which of several containers crashes while others serve.
func uneven(cur *Rollout, loop *service.Task) string {
	return fmt.Sprintf("container %d of %d ends again and again, %d times since %s, the last time because %s; it does not rest, because others are healthy",
		loop.Slot, cur.Spec.Replicas, cur.Trouble.Crashes, clock(cur.Trouble.Since), service.Ending(*loop))
}

func portTrouble(s spec.Service, out Outside) string {
	for _, p := range s.Ports {
		if says, bad := out.Listeners[Port{p.External, p.Protocol}]; bad {
			return says
		}
	}
	if len(s.Domains) > 0 {
		return out.Listeners[Port{out.HTTPSPort, spec.TCP}]
	}
	return ""
}

// PortWords writes ports for people: "4443->443/tcp public".
func PortWords(s spec.Service) []string {
	var words []string
	for _, p := range s.Ports {
		words = append(words, fmt.Sprintf("%d->%d/%s %s", p.External, p.Internal, p.Protocol, p.Access))
	}
	return words
}
