package reconciletest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// hook is a hook and its container.
type hook struct {
	service.Hook
	starts time.Time
	ends   time.Time
	gone   time.Time // when nothing is left of it; zero unless it was removed
	exit   int
	d      service.Desired
}

// hookGoes is how long something is left of a hook that was removed.
const hookGoes = 300 * time.Millisecond

// hooksNow lets the inits that are due end, and shows all.
func (c *Cluster) hooksNow() []service.Hook {
	var all []service.Hook
	c.hooks = slices.DeleteFunc(c.hooks, func(h *hook) bool { return h.Leaves && !c.at.Before(h.gone) })
	for _, h := range c.hooks {
		if h.State == service.Waiting && !c.at.Before(h.starts) {
			h.State, h.Began = service.Running, h.starts
		}
		if h.State == service.Running && !c.at.Before(h.ends) {
			h.State = service.Complete
			if c.apps[h.d.Image].InitCut {
				h.Error = "the swarm ended it"
			}
			if h.exit == 0 && h.Error == "" && h.Duty == service.Init {
				c.filled(h.d)
			}
			if name := h.d.Name(); h.exit == 0 && h.Duty == service.Upgrade {
				if slices.Contains(c.upgrades, name) {
					c.broken = append(c.broken, "the upgrade to "+name+" was done twice")
				}
				c.upgrades = append(c.upgrades, name)
			}
		}
		all = append(all, h.Hook)
	}
	return all
}

// filled notes volumes that an init filled, and promises broken by it.
func (c *Cluster) filled(d service.Desired) {
	for _, b := range d.Binds {
		if c.fills[b.Source]++; c.fills[b.Source] > 1 && c.fresh[b.Source] {
			c.broken = append(c.broken, "an init filled "+b.Source+" twice")
		}
	}
}

// unfilled notes volumes that a service starts on before their time.
func (c *Cluster) unfilled(d service.Desired) {
	for _, b := range d.Binds {
		if c.fresh[b.Source] {
			c.broken = append(c.broken, fmt.Sprintf("%s started on %s, which is new", d.Name(), b.Source))
		}
	}
	for _, h := range c.hooks {
		if h.Project == d.Project && h.Service == d.ID && h.Live() {
			c.broken = append(c.broken, d.Name()+" started beside its "+string(h.Duty))
		}
	}
}

// beside notes an upgrade of what others still write to.
func (c *Cluster) beside(d service.Desired) {
	for _, s := range c.everything() {
		if s.d.ID != d.ID || s.live() == 0 {
			continue
		}
		for _, b := range d.Binds {
			if !b.ReadOnly && slices.ContainsFunc(s.d.Binds, func(o service.Bind) bool { return o.Source == b.Source && !o.ReadOnly }) {
				c.broken = append(c.broken, "an upgrade runs on "+b.Source+" beside "+s.d.Name())
			}
		}
	}
}

// StartHook runs a hook, unless there is one.
func (c *Cluster) StartHook(ctx context.Context, d service.Desired, duty service.Duty, command []string) error {
	return c.act(ctx, string(duty)+" "+strings.Join(command, " "), func() error {
		c.hooksNow()
		for _, h := range c.hooks {
			if h.Service == d.ID && (h.Leaves || h.Duty != duty) {
				return problem.New(problem.Busy, "the %s is still there", h.Duty)
			}
			if h.Service == d.ID {
				return nil
			}
		}
		app := c.apps[d.Image]
		starts, lasts, exit := c.at.Add(app.InitSlow), app.Init, app.InitExit
		if duty == service.Upgrade {
			lasts, exit = app.Upgrade, app.UpgradeExit
			c.beside(d)
		}
		h := &hook{
			Hook:   service.Hook{Duty: duty, SwarmID: c.box(), Container: c.box(), Project: d.Project, Service: d.ID, Rollout: d.Rollout, State: service.Waiting, Created: c.at},
			starts: starts, ends: starts.Add(lasts), exit: exit, d: d,
		}
		if c.lost[d.ID] < app.InitLost {
			c.lost[d.ID]++
			h.State, h.Container, h.Error = service.Failed, "", "no network attachments"
		}
		c.hooks = append(c.hooks, h)
		return nil
	})
}

// HookEnding tells how an init ended.
func (c *Cluster) HookEnding(ctx context.Context, container string) (end service.Task, err error) {
	return end, c.do(ctx, "init's end", func() error {
		c.hooksNow()
		for _, h := range c.hooks {
			if h.Container == container && h.State == service.Complete {
				end = service.Task{Container: container, State: service.Complete, ExitCode: h.exit}
				if h.exit != 0 {
					end.State = service.Failed
				}
				return nil
			}
		}
		return problem.New(problem.NotFound, "no init %s that ended", container)
	})
}

// RemoveHook takes an init away.
func (c *Cluster) RemoveHook(ctx context.Context, gone service.Hook) error {
	return c.act(ctx, "remove init", func() error {
		for _, h := range c.hooks {
			if h.SwarmID == gone.SwarmID && !h.Leaves {
				h.State, h.Leaves, h.gone = service.Stopped, true, c.at.Add(hookGoes)
			}
		}
		return nil
	})
}

// SettleVolume makes a volume one that is new no more.
func (c *Cluster) SettleVolume(ctx context.Context, environment string, p spec.ProjectID, name string) error {
	return c.act(ctx, "settle "+name, func() error {
		delete(c.fresh, environment+"/"+string(p)+"/"+name)
		return nil
	})
}
