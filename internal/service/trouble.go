package service

import (
	"slices"
	"time"

	"havre/internal/spec"
)

// Trouble is what is remembered of a rollout whose containers end badly, for
// the engine soon forgets it.
type Trouble struct {
	Since   time.Time // the first bad end
	Crashes int       // bad ends from then on
	End     Task      // the newest of them
	Lines   []string  // what its container printed last
	Row     int       // bad ends since it was tried last
	Rests   int       // how often it was left without containers
	Tried   time.Time // when the last rest ended; zero before
	Until   time.Time // it rests, and is tried again then; zero: it does not rest
}

// Same tells whether two troubles are at the same point.
func (t *Trouble) Same(as *Trouble) bool {
	if t == nil || as == nil {
		return t == as
	}
	return t.Crashes == as.Crashes && t.End.Since.Equal(as.End.Since) && t.Until.Equal(as.Until)
}

// Resting tells whether the rollout is kept without containers until its next
// try. A nil Trouble is none.
func (t *Trouble) Resting() bool { return t != nil && !t.Until.IsZero() }

// Backoff says how long what ends badly again and again rests between tries:
// First, then twice as long each time, at most Most. The zero Backoff is the
// default one, 10 s to 5 min.
type Backoff struct{ First, Most time.Duration }

// What the zero Backoff means.
const (
	DefaultFirst = 10 * time.Second
	DefaultMost  = 5 * time.Minute
)

// quick is how many bad ends in a row the engine mends at once, each by a new
// container after 10 ms. One that was well for calm ends the row.
const (
	quick = 5
	calm  = 30 * time.Second
)

func (b Backoff) pause(rests int) time.Duration {
	first, most := b.First, b.Most
	if first == 0 {
		first = DefaultFirst
	}
	if most == 0 {
		most = DefaultMost
	}
	pause := first
	for range rests - 1 {
		if pause = min(2*pause, most); pause == most {
			break
		}
	}
	return min(pause, most)
}

// long is how long a container must be well for its rollout's trouble to be over:
// for longer than it last rested.
func (b Backoff) long(t *Trouble) time.Duration { return max(calm, b.pause(t.Rests)) }

// Suffer tells how the trouble of a rollout goes on, nil when it has none (any
// more). worst is the container whose end is new and whose last lines tell of
// it, nil when there is no such. t is not changed.
func (b Backoff) Suffer(t *Trouble, want spec.Service, o Observed, at Moment) (next *Trouble, worst *Task) {
	if !restless(want.Restart) || want.Replicas == 0 {
		return nil, nil
	}
	if t != nil {
		kept := *t
		next = &kept
	}
	for i := range slices.Backward(o.Tasks) { // oldest first
		end := &o.Tasks[i]
		if !Bad(want, *end) || end.Since.Before(at.Started) || next != nil && !end.Since.After(next.End.Since) {
			continue
		}
		if next == nil || b.livedLong(next, *end) {
			next = &Trouble{Since: end.Since}
		}
		next.add(*end)
		worst = end
	}
	switch {
	case next == nil:
		return nil, nil
	case next.Resting() && at.Now.Before(next.Until) && next.Until.Sub(at.Now) <= b.pause(next.Rests): // else a clock or a setting was changed
	case next.Resting():
		next.Tried, next.Until, next.Row = at.Now, time.Time{}, 0
	case b.over(next, want, o, at):
		return nil, nil
	case next.Row >= next.patience()*want.Replicas && !anyHealthy(o, at):
		next.Rests++
		next.Until = at.Now.Add(b.pause(next.Rests))
	}
	return next, worst
}

// restless tells whether the swarm starts what ended badly for ever.
func restless(r spec.Restart) bool {
	return r.Policy == "" || r.Policy == spec.Always || r.Policy == spec.OnFailure && r.Attempts == 0
}

// patience is how many bad ends of each container lead to a rest: after a rest
// one is enough.
func (t *Trouble) patience() int {
	if t.Rests > 0 {
		return 1
	}
	return quick
}

func (t *Trouble) add(end Task) {
	t.Crashes++
	t.End = end
	if end.Since.After(t.Tried) { // later than what was stopped when the rest began
		t.Row++
	}
}

// livedLong tells whether a container ran for so long that its end begins a
// trouble of its own. One that its check ended may never have been well.
func (b Backoff) livedLong(t *Trouble, end Task) bool {
	return end.Health != "unhealthy" && end.Since.Sub(end.Created) > b.long(t)
}

// over tells whether all containers have been well for long enough.
func (b Backoff) over(t *Trouble, want spec.Service, o Observed, at Moment) bool {
	well := 0
	for _, task := range o.Live() {
		if Healthy(task, at.Accepts, at.Now) && at.Now.Sub(task.Since) >= b.long(t) {
			well++
		}
	}
	return well >= want.Replicas
}

func anyHealthy(o Observed, at Moment) bool {
	return slices.ContainsFunc(o.Tasks, func(t Task) bool { return Healthy(t, at.Accepts, at.Now) })
}
