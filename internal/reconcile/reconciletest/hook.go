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

// hook is the container of a hook.
type hook struct {
	service.Hook
	ends time.Time
	exit int
	d    service.Desired
}

// hooksNow lets the inits that are due end, and shows all.
func (c *Cluster) hooksNow() []service.Hook {
	var all []service.Hook
	for _, h := range c.hooks {
		if h.State == service.Running && !c.at.Before(h.ends) {
			h.State = service.Complete
			if h.exit == 0 && h.Duty == service.Init {
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
		if h.Project == d.Project && h.Service == d.ID && h.State == service.Running {
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
		if slices.ContainsFunc(c.hooks, func(h *hook) bool { return h.Service == d.ID && h.Duty == duty }) {
			return nil
		}
		app := c.apps[d.Image]
		lasts, exit := app.Init, app.InitExit
		if duty == service.Upgrade {
			lasts, exit = app.Upgrade, app.UpgradeExit
			c.beside(d)
		}
		c.hooks = append(c.hooks, &hook{
			Hook: service.Hook{Duty: duty, Container: c.box(), Project: d.Project, Service: d.ID, Rollout: d.Rollout, State: service.Running, Created: c.at},
			ends: c.at.Add(lasts), exit: exit, d: d,
		})
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
func (c *Cluster) RemoveHook(ctx context.Context, container string) error {
	return c.act(ctx, "remove init", func() error {
		c.hooks = slices.DeleteFunc(c.hooks, func(h *hook) bool { return h.Container == container })
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
