package service

import (
	"slices"
	"strings"
)

// Verb is what a step does.
type Verb string

// The verbs. Each may be done twice without harm.
const (
	Start    Verb = "start"    // make the rollout's swarm service
	Scale    Verb = "scale"    // set its number of containers
	Activate Verb = "activate" // from now on this rollout serves
	Fail     Verb = "fail"     // give the rollout up
	Leave    Verb = "leave"    // take it out of the routes, so that Target can have its volumes
	Remove   Verb = "remove"   // take its swarm service away
	Filled   Verb = "filled"   // its init has done its work; the record's own, never Next's
	Upgraded Verb = "upgraded" // its upgrade has done its work; as well
)

// Step is one thing to do to one rollout.
type Step struct {
	Verb     Verb
	Rollout  int
	Replicas int    // of Scale
	Reason   string // of Fail
	SwarmID  string // of Scale and Remove
}

// Facts is all that Next looks at.
type Facts struct {
	Stopped  bool // the person stopped it
	Active   int  // the rollout that serves; 0: none yet
	Target   int  // the rollout that should serve
	Failed   bool // Target was given up, but there is nothing to go back to
	Replicas map[int]int
	Writes   map[int]bool     // rollouts that write to volumes
	Alone    map[int]bool     // rollouts that must have no other beside them, whatever they write
	Verdict  map[int]Verdict  // of the observed rollouts
	Observed map[int]Observed // by rollout
	Ready    bool             // what it needs is there
	Left     bool             // Active is out of the routes, to make way for Target
	Busy     map[int]bool     // observed rollouts that connections may still lead to
	Rests    map[int]bool     // rollouts that crashed too often and get no containers now; their Replicas are 0
}

// Next says what to do now to bring the service to its target. It looks at
// nothing but f, and does only what can be done at once: the caller asks again.
func Next(f Facts) []Step {
	steps := strays(f)
	switch {
	case f.Stopped:
		return append(steps, f.scale(f.Target, 0, f.Active)...)
	case f.Target == f.Active:
		return append(steps, f.keep(f.Active)...)
	}
	o := f.Observed[f.Target]
	if o.SwarmID == "" {
		return append(steps, f.begin()...)
	}
	v := f.Verdict[f.Target]
	switch {
	case v.Done && o.Replicas == f.Replicas[f.Target]:
		return append(steps, Step{Verb: Activate, Rollout: f.Target})
	case v.Failed && f.Active != 0:
		return append(steps, Step{Verb: Fail, Rollout: f.Target, Reason: v.Reason})
	case v.Failed && !f.Failed:
		steps = append(steps, Step{Verb: Fail, Rollout: f.Target, Reason: v.Reason})
	}
	return append(append(steps, f.serveOn()...), f.grow()...)
}

// serveOn keeps the old rollout until the switch, if both may run.
func (f Facts) serveOn() []Step {
	if f.excludes(f.Target, f.Active) {
		return nil
	}
	return f.keep(f.Active)
}

// strays are swarm services of rollouts that neither serve nor should. Who is
// still connected to one may finish first.
func strays(f Facts) []Step {
	var steps []Step
	for n, o := range f.Observed {
		if n != f.Active && n != f.Target && o.SwarmID != "" && (f.Stopped || !f.Busy[n]) {
			steps = append(steps, Step{Verb: Remove, Rollout: n, SwarmID: o.SwarmID})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return a.Rollout - b.Rollout })
	return steps
}

// begin starts the target, or makes room for it: two containers must never
// write to one volume, so a writer's predecessor has to be gone first, as has
// that of a rollout that is to be alone.
func (f Facts) begin() []Step {
	if !f.Ready && !f.Left { // who has left cannot serve on
		return f.keep(f.Active)
	}
	if f.Rests[f.Target] { // its swarm service was lost meanwhile
		return f.serveOn()
	}
	if f.excludes(f.Target, f.Active) && f.Observed[f.Active].Replicas > 0 {
		return f.makeRoom()
	}
	if f.crowded(f.Target) {
		return f.serveOn()
	}
	return append(f.serveOn(), Step{Verb: Start, Rollout: f.Target})
}

// makeRoom stops the rollout that serves: first nobody new is led to it, then
// who is connected may finish, then it goes.
func (f Facts) makeRoom() []Step {
	switch {
	case !f.Left:
		return []Step{{Verb: Leave, Rollout: f.Active}}
	case f.Busy[f.Active]:
		return nil
	}
	return f.scale(f.Active, 0)
}

// grow brings the target to its number, but none beside one that it excludes.
func (f Facts) grow() []Step {
	if f.excludes(f.Target, f.Active) && f.Observed[f.Active].Replicas > 0 {
		return f.makeRoom()
	}
	if f.Observed[f.Target].Replicas < f.Replicas[f.Target] && f.crowded(f.Target) {
		return nil
	}
	return f.scale(f.Target, f.Replicas[f.Target])
}

// excludes tells whether rollouts n and m must not run at once: both write, or
// one is so old that nobody knows; or one of them is to be alone. Who is to be
// alone is so towards its predecessor and its successor: neither the update
// that brings the wish nor a failure nor a rollback makes two of it.
func (f Facts) excludes(n, m int) bool {
	return n != m && (f.writes(n) && f.writes(m) || f.Alone[n] || f.Alone[m])
}

func (f Facts) writes(n int) bool {
	w, known := f.Writes[n]
	return w || !known && n != 0
}

// keep makes sure that a rollout that should run is there in its full number.
func (f Facts) keep(n int) []Step {
	if n == 0 {
		return nil
	}
	if f.Observed[n].Replicas == 0 && f.crowded(n) {
		return nil
	}
	if f.Observed[n].SwarmID == "" && !f.Rests[n] {
		return []Step{{Verb: Start, Rollout: n}}
	}
	return f.scale(n, f.Replicas[n])
}

// crowded tells whether there may be a container that rollout n excludes: one
// that runs, that is just stopping, or that the swarm was asked for and has not
// begun to make. Containers of n itself that still stop count, too, if it
// writes or is to be alone: those that it left when its swarm service went, and
// those of a time before it was told to have none.
func (f Facts) crowded(n int) bool {
	for m, o := range f.Observed {
		lives := len(o.Live()) > 0
		if f.excludes(n, m) && (lives || o.SwarmID != "" && o.Replicas > 0) || n == m && o.Replicas == 0 && (f.writes(n) || f.Alone[n]) && lives {
			return true
		}
	}
	return false
}

func (f Facts) scale(n, replicas int, more ...int) []Step {
	var steps []Step
	for _, r := range append([]int{n}, more...) {
		o, there := f.Observed[r]
		if o.Replicas > 1 && replicas == 1 && f.writes(r) {
			replicas = 0 // the one that stays would start again while the others still write
		}
		if there && o.SwarmID != "" && o.Replicas != replicas && !slices.ContainsFunc(steps, func(s Step) bool { return s.Rollout == r }) {
			steps = append(steps, Step{Verb: Scale, Rollout: r, Replicas: replicas, SwarmID: o.SwarmID})
		}
	}
	return steps
}

// oneLine keeps the last line that says something, shortened.
func oneLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if r := []rune(last); len(r) > 300 {
		last = string(r[:300]) + "…"
	}
	if last == "" {
		return "(it printed nothing)"
	}
	return last
}
