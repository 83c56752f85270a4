package deploy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// Printed reads what one container printed, in order. It ends with the
// container's end, with ctx, or with yield's first error.
type Printed func(ctx context.Context, container string, r project.Reading, yield func(api.Line) error) error

// Logbook keeps pages.
type Logbook interface {
	Pages(ctx context.Context, s spec.ServiceID, rollout int) ([]project.Page, error)
	Read(ctx context.Context, p project.Page, r project.Reading, yield func(api.Line) error) error
}

// again is how often following looks for containers that came meanwhile.
const again = 500 * time.Millisecond

// Logs gives what the containers of t printed, in order of time as far as it
// is already there: those that the engine has, and kept pages of those that are
// gone, of the rollout that serves or should, or of the one that was asked for.
// Following, it goes on with all of them, and with those that come, until ctx
// is done.
// Errors: NotFound, also when nothing is kept of that rollout; Conflict;
// Invalid; yield's first error.
func (d *Deployer) Logs(ctx context.Context, t api.Target, o api.LogOptions, read Printed, yield func(api.Line) error) error {
	here, err := d.sources(ctx, t, o.Rollout)
	if err != nil {
		return err
	}
	if here, err = d.withKept(ctx, t, o.Rollout, here); err != nil {
		return err
	}
	until := time.Now()
	last := &lastOf{most: o.Tail}
	err = merge(ctx, here, func(ctx context.Context, c Container, give func(api.Line) error) error {
		from := read
		if c.kept != nil {
			from = func(ctx context.Context, _ string, r project.Reading, yield func(api.Line) error) error {
				return d.Logbook.Read(ctx, *c.kept, r, yield)
			}
		}
		return from(ctx, c.ID, project.Reading{Since: o.Since, Tail: o.Tail}, func(l api.Line) error {
			if o.Follow && l.Time.After(until) {
				return errEnough // following will bring it
			}
			return give(named(l, c))
		})
	}, last.keep(yield))
	if err == nil {
		err = last.give(yield)
	}
	if err != nil || !o.Follow {
		return err
	}
	return d.followLogs(ctx, following{t, o.Rollout, until}, read, yield)
}

// lastOf keeps the last lines of each replica: it may have had many containers,
// and what those before the last printed is older.
type lastOf struct {
	most  int // 0 is all
	lines []api.Line
	count map[replica]int
}

// replica is one of a service's containers and those before it.
type replica struct {
	service string
	slot    int
}

// keep takes lines in order of time, or hands them on when all are wanted.
func (l *lastOf) keep(yield func(api.Line) error) func(api.Line) error {
	if l.most == 0 {
		return yield
	}
	l.count = map[replica]int{}
	return func(line api.Line) error {
		l.lines = append(l.lines, line)
		l.count[replica{line.Service, line.Slot}]++
		return nil
	}
}

func (l *lastOf) give(yield func(api.Line) error) error {
	for _, line := range l.lines {
		r := replica{line.Service, line.Slot}
		if l.count[r]--; l.count[r] >= l.most {
			continue
		}
		if err := yield(line); err != nil {
			return err
		}
	}
	return nil
}

// sources are the containers whose lines are wanted, of one rollout if it is named.
func (d *Deployer) sources(ctx context.Context, t api.Target, rollout int) ([]Container, error) {
	here, err := d.Containers(ctx, t, true)
	if rollout != 0 {
		here = slices.DeleteFunc(here, func(c Container) bool { return c.Rollout != rollout })
	}
	return here, err
}

// withKept adds the pages of containers that are gone.
func (d *Deployer) withKept(ctx context.Context, t api.Target, rollout int, here []Container) ([]Container, error) {
	ref, _, err := d.find(ctx, t)
	switch {
	case err != nil:
		return nil, err
	case rollout != 0 && ref.Service == nil:
		return nil, problem.New(problem.Invalid, "%s is a whole project, and a rollout belongs to one service", ref).With("name one of: havre ps %s", ref)
	case rollout != 0:
		if _, err := remembered(ref.Service, rollout); err != nil {
			return nil, err
		}
	}
	for _, s := range meant(ref) {
		n := rollout
		if cur := s.Current(); n == 0 && cur != nil {
			n = cur.Number
		}
		pages, err := d.pages(ctx, s.ID, n)
		if err != nil {
			return nil, err
		}
		for _, p := range pages {
			if !slices.ContainsFunc(here, func(c Container) bool { return c.ID == p.Container }) {
				here = append(here, Container{ID: p.Container, Service: s.Name, Environment: ref.Record.Environment, Slot: p.Slot, Rollout: p.Rollout, kept: &p})
			}
		}
	}
	if rollout != 0 && len(here) == 0 {
		return nil, problem.New(problem.NotFound, "nothing is kept of what r%d of %s printed", rollout, ref).With("see what it was and why it ended: havre history %s", ref)
	}
	return here, nil
}

func (d *Deployer) pages(ctx context.Context, s spec.ServiceID, rollout int) ([]project.Page, error) {
	if d.Logbook == nil {
		return nil, nil
	}
	return d.Logbook.Pages(ctx, s, rollout)
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

// following is whose lines are wanted, from when on.
type following struct {
	target  api.Target
	rollout int // 0 is all
	since   time.Time
}

// followLogs gives lines as they come.
func (d *Deployer) followLogs(ctx context.Context, f following, read Printed, yield func(api.Line) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	var one sync.Mutex // yield is not for two at once
	followed := map[string]bool{}
	tick := time.NewTicker(again)
	defer tick.Stop()
	for {
		here, err := d.sources(ctx, f.target, f.rollout)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, c := range here {
			if followed[c.ID] {
				continue
			}
			followed[c.ID] = true
			running.Go(func() {
				err := read(ctx, c.ID, project.Reading{Since: f.since, Follow: true}, func(l api.Line) error {
					one.Lock()
					defer one.Unlock()
					if !l.Time.After(f.since) {
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
