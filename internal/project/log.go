package project

import (
	"context"
	"errors"
	"sync"
	"time"

	"havre/internal/api"
)

// Reading says which lines of a container are wanted.
type Reading struct {
	Since  time.Time
	Tail   int // 0 is all
	Follow bool
}

// Printed reads what one container printed, in order. It ends with the
// container's end, with ctx, or with yield's first error.
type Printed func(ctx context.Context, container string, r Reading, yield func(api.Line) error) error

// again is how often following looks for containers that came meanwhile.
const again = 500 * time.Millisecond

// Logs gives what the containers of t printed, in order of time as far as it
// is already there. Following, it goes on with all of them, and with those
// that come, until ctx is done.
// Errors: NotFound, Conflict; yield's first error.
func (d *Deployer) Logs(ctx context.Context, t api.Target, o api.LogOptions, read Printed, yield func(api.Line) error) error {
	here, err := d.Containers(ctx, t, true)
	if err != nil {
		return err
	}
	until := time.Now()
	err = merge(ctx, here, func(ctx context.Context, c Container, give func(api.Line) error) error {
		return read(ctx, c.ID, Reading{Since: o.Since, Tail: o.Tail}, func(l api.Line) error {
			if o.Follow && l.Time.After(until) {
				return errEnough // following will bring it
			}
			return give(named(l, c))
		})
	}, yield)
	if err != nil || !o.Follow {
		return err
	}
	return d.followLogs(ctx, t, until, read, yield)
}

var errEnough = errors.New("enough lines")

func named(l api.Line, c Container) api.Line {
	l.Service, l.Slot = c.Service, c.Slot
	return l
}

// merge gives the lines of several containers in order of time.
func merge(ctx context.Context, from []Container, read func(context.Context, Container, func(api.Line) error) error, yield func(api.Line) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	streams := make([]chan api.Line, len(from))
	failed := make([]error, len(from))
	for i, c := range from {
		streams[i] = make(chan api.Line, 64)
		running.Go(func() {
			defer close(streams[i])
			failed[i] = read(ctx, c, func(l api.Line) error {
				select {
				case streams[i] <- l:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
	}
	return drain(streams, failed, yield)
}

// drain takes the oldest head of all streams until they are empty.
func drain(streams []chan api.Line, failed []error, yield func(api.Line) error) error {
	heads := make([]*api.Line, len(streams))
	for {
		oldest := -1
		for i, s := range streams {
			if heads[i] == nil {
				if l, more := <-s; more {
					heads[i] = &l
				}
			}
			if heads[i] != nil && (oldest < 0 || heads[i].Time.Before(heads[oldest].Time)) {
				oldest = i
			}
		}
		if oldest < 0 {
			break
		}
		if err := yield(*heads[oldest]); err != nil {
			return err
		}
		heads[oldest] = nil
	}
	for _, err := range failed { // the streams are closed, so these are written
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

// followLogs gives lines as they come.
func (d *Deployer) followLogs(ctx context.Context, t api.Target, since time.Time, read Printed, yield func(api.Line) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	var one sync.Mutex // yield is not for two at once
	followed := map[string]bool{}
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		here, err := d.Containers(ctx, t, true)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, c := range here {
			if followed[c.ID] {
				continue
			}
			followed[c.ID] = true
			running.Go(func() {
				err := read(ctx, c.ID, Reading{Since: since, Follow: true}, func(l api.Line) error {
					one.Lock()
					defer one.Unlock()
					if !l.Time.After(since) {
						return nil
					}
					return yield(named(l, c))
				})
				if err != nil && ctx.Err() == nil {
					cancel(err)
				}
			})
		}
		select {
		case <-ctx.Done():
			if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		case <-tick.C:
		}
	}
}
