// Package event remembers what happened, in order and with numbers: it compares
// what two passes of the loop saw, keeps the difference as events, and hands
// them on to those who follow.
package event

import (
	"context"
	"fmt"
	"sync"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
)

// Keeper keeps events. *store.Store is one.
type Keeper interface {
	// Sight gives the one that was kept last, and whether there is one.
	Sight(ctx context.Context) (Sight, bool, error)
	// AddEvents numbers and keeps events, and with them the sight that they
	// led to unless it is nil: both or neither.
	AddEvents(ctx context.Context, events []api.Event, now *Sight) error
	// Events gives those after a number, oldest first, at most limit.
	Events(ctx context.Context, after int64, limit int) ([]api.Event, error)
	// EventRange gives the oldest number that is kept and the newest ever
	// given; 0 when there is none.
	EventRange(ctx context.Context) (first, last int64, err error)
}

// Journal is where events go and come from. It may be used by several
// goroutines at once.
type Journal struct {
	keep Keeper

	mu    sync.Mutex // guards what follows
	sight *Sight     // nil until it was read
	wake  chan struct{}
}

// New makes a journal that keeps its events in k.
func New(k Keeper) *Journal {
	return &Journal{keep: k, wake: make(chan struct{})}
}

// Saw compares what a pass saw with what the last one did, and keeps the
// difference. The very first sight of all is where telling begins.
func (j *Journal) Saw(ctx context.Context, p Passed) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sight == nil {
		before, known, err := j.keep.Sight(ctx)
		if err != nil {
			return err
		}
		if !known && p.Trouble != "" {
			return nil // where telling begins is not to be seen yet
		}
		if !known {
			before = beginning(Look(before, p))
			if err := j.add(ctx, nil, &before); err != nil {
				return err
			}
		}
		j.sight = &before
	}
	now := Look(*j.sight, p)
	events := Compare(*j.sight, &now)
	if len(events) == 0 && same(*j.sight, now) {
		return nil
	}
	if err := j.add(ctx, events, &now); err != nil {
		return err
	}
	j.sight = &now
	return nil
}

// beginning is what was there before telling began: all but what is on its way
// for the first time.
func beginning(now Sight) Sight {
	for name, s := range now.Services {
		if s.Last <= 1 && s.Open[s.Last] != "active" {
			delete(now.Services, name)
		}
	}
	return now
}

// Add keeps one event that no sight tells.
func (j *Journal) Add(ctx context.Context, e api.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.add(ctx, []api.Event{e}, nil)
}

// add wakes those who follow; the caller holds mu.
func (j *Journal) add(ctx context.Context, events []api.Event, now *Sight) error {
	at := time.Now().UTC()
	for i := range events {
		if events[i].Time.IsZero() {
			events[i].Time = at
		}
	}
	if err := j.keep.AddEvents(ctx, events, now); err != nil {
		return err
	}
	if len(events) > 0 {
		close(j.wake)
		j.wake = make(chan struct{})
	}
	return nil
}

// Wake has those who follow look for events that others have kept.
func (j *Journal) Wake() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.wake)
	j.wake = make(chan struct{})
}

// page is how many events are read at once.
const page = 500

// Events gives the events that q asks for, oldest first. Following, it goes on
// until ctx is done. Where some after q.After are no longer kept, it begins
// with one of kind lost.
// Errors: Invalid when q.After was never given; yield's first error.
func (j *Journal) Events(ctx context.Context, q api.EventQuery, yield func(api.Event) error) error {
	first, last, err := j.keep.EventRange(ctx)
	if err != nil {
		return err
	}
	if first == 0 {
		first = last + 1
	}
	if q.After > last || q.After < 0 {
		return problem.New(problem.Invalid, "no event has the number %d yet", q.After).With("ask without it, and go on from the numbers that come")
	}
	if q.After > 0 && q.After+1 < first {
		lost := api.Event{ID: first - 1, Time: time.Now().UTC(), Kind: api.LostEvent, Says: fmt.Sprintf("the events %d to %d are no longer kept", q.After+1, first-1)}
		if err := yield(lost); err != nil {
			return err
		}
	}
	for at := q.After; ; {
		j.mu.Lock()
		more := j.wake // before reading, so that nothing falls in between
		j.mu.Unlock()
		events, err := j.keep.Events(ctx, at, page)
		if err != nil {
			return err
		}
		for _, e := range events {
			at = e.ID
			if !q.Takes(e) {
				continue
			}
			if err := yield(e); err != nil {
				return err
			}
		}
		if len(events) == page {
			continue
		}
		if !q.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		}
	}
}

// Current is what is known of services since the last pass: restarts that were
// ever told, by full name.
func (j *Journal) Current() Sight {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sight == nil {
		return Sight{}
	}
	return *j.sight
}
