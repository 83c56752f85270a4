package reconciletest

import (
	"context"
	"strconv"

	"havre/internal/project"
	"havre/internal/reconcile"
)

// Crash kills the loop's process at one of its acts: as if kill -9 came before
// the engine heard of it or, with After, before the answer was read. The zero
// Crash never does.
type Crash struct {
	At    int // which act, from 1
	After bool
}

// Kill9 is what every call of a killed process gives.
const Kill9 = killed("the process was killed")

type killed string

// Error says so.
func (k killed) Error() string { return string(k) }

// CrashAt sets when to crash, and counts acts from here.
func (c *Cluster) CrashAt(crash Crash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.crash, c.calls, c.dead = crash, nil, false
}

// Crashed tells whether the process was killed, and lets a new one work.
func (c *Cluster) Crashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.dead
	c.dead = false
	return was
}

// Acts are the calls that changed something since CrashAt.
func (c *Cluster) Acts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.calls...)
}

// do answers a call that changes nothing.
func (c *Cluster) do(ctx context.Context, call string, deed func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	if c.dead {
		return Kill9
	}
	if c.Refuse != nil {
		if err := c.Refuse(call); err != nil {
			return err
		}
	}
	return deed()
}

// act does a call that changes something, unless the process is killed there.
func (c *Cluster) act(ctx context.Context, call string, deed func() error) error {
	return c.do(ctx, call, func() error {
		c.calls = append(c.calls, call)
		here := len(c.calls) == c.crash.At
		if here && !c.crash.After {
			c.dead = true
			return Kill9
		}
		err := deed()
		if here {
			c.dead = true
			return Kill9
		}
		return err
	})
}

// remembering counts saving among the acts.
type remembering struct {
	reconcile.Records
	c *Cluster
}

// SaveProject saves, unless the process is killed there.
func (r remembering) SaveProject(ctx context.Context, p project.Record) error {
	return r.c.act(ctx, "save", func() error { return r.Records.SaveProject(ctx, p) })
}

// Projects reads, unless the process is dead.
func (r remembering) Projects(ctx context.Context) (all []project.Record, err error) {
	err = r.c.do(ctx, "read", func() error {
		all, err = r.Records.Projects(ctx)
		return err
	})
	return all, err
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }
