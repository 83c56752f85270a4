package project

import (
	"fmt"
	"slices"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// Turn is a turn that a rollout's trouble takes.
type Turn struct {
	Service   spec.ServiceID
	Name      string
	Rollout   int
	Trouble   *service.Trouble // nil: it is over
	Container string           // whose last lines tell of it; "" when there is no new bad end
}

// Turns tells which troubles of r take a turn now: something crashed, has to
// rest, is to be tried again, or is well. To be saved before Next is asked,
// because who rests loses its containers, and the engine forgets how they ended.
func Turns(r Record, v View) []Turn {
	var turns []Turn
	for _, s := range r.Present() {
		ro := s.Current()
		if s.Stopped || ro == nil {
			continue
		}
		o := Observed(v.Snapshot, s.ID)[ro.Number]
		next, worst := v.Backoff.Suffer(ro.Trouble, ro.Spec, o, moment(ro, v))
		if next.Same(ro.Trouble) {
			continue
		}
		turn := Turn{Service: s.ID, Name: s.Name, Rollout: ro.Number, Trouble: next}
		if worst != nil {
			turn.Container = worst.Container
		}
		turns = append(turns, turn)
	}
	return turns
}

// Suffer puts a turn into the record. lines are what its container printed last.
func (r *Record) Suffer(t Turn, lines []string) {
	s := r.ByID(t.Service)
	if s == nil {
		return
	}
	s.Rollouts = slices.Clone(s.Rollouts)
	ro := s.Rollout(t.Rollout)
	if ro == nil {
		return
	}
	if t.Trouble != nil && len(lines) > 0 {
		with := *t.Trouble
		with.Lines = lines
		t.Trouble = &with
	}
	ro.Trouble = t.Trouble
}

// tried tells whether a rollout was tried again so lately that nobody knows yet
// whether it is well.
func tried(t *service.Trouble, now time.Time) bool {
	return t != nil && t.Rests > 0 && now.Sub(t.Tried) < loopRest
}

// crashes says how often a rollout crashed, why, and when it is tried again.
func crashes(t *service.Trouble) string {
	says := fmt.Sprintf("it ended badly %d times since %s, the last time because %s", t.Crashes, clock(t.Since), service.Ending(t.End))
	if t.Resting() {
		return says + "; it rests and is tried again at " + clock(t.Until)
	}
	return says + "; it is being tried again"
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
