package reconciletest

import (
	"context"
	"fmt"
	"slices"

	"havre/internal/problem"
	"havre/internal/service"
)

// ChangePortal gives new portals another image, as an upgrade of Havre does.
// Held says whether a connection leads through each portal that runs now.
func (c *Cluster) ChangePortal(image string, held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.portal = image
	for _, p := range c.portals {
		c.through[p.Container] = held
	}
}

// HangUp ends all connections that lead through portals.
func (c *Cluster) HangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.through)
}

// Portals are the images of the portals that run, the oldest first.
func (c *Cluster) Portals() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	var images []string
	for _, p := range c.portals {
		if p.Running {
			images = append(images, p.Image)
		}
	}
	return images
}

// drains ends portals beside which a newer one runs, and through which no
// connection leads.
func (c *Cluster) drains() {
	newest := map[string]int{}
	for _, p := range c.portals {
		if p.Running {
			newest[p.Environment] = max(newest[p.Environment], p.Generation)
		}
	}
	for i := range c.portals {
		p := &c.portals[i]
		p.Running = p.Running && (p.Generation == newest[p.Environment] || c.through[p.Container])
	}
}

// EnsurePortal makes an environment's portal run on exactly these networks.
// Each of its steps is one at which the process may be killed.
// Errors: NotFound when a network is gone.
func (c *Cluster) EnsurePortal(ctx context.Context, environment string, networks []string) error {
	var w service.PortalWork
	err := c.act(ctx, "portal of "+environment, func() error {
		for _, id := range networks {
			if !slices.ContainsFunc(c.networks, func(n service.Network) bool { return n.ID == id && n.Environment == environment }) {
				return problem.New(problem.NotFound, "no network %s", id)
			}
			if slices.ContainsFunc(c.networks, func(n service.Network) bool { return n.ID == id && n.Subnet == "" }) {
				return problem.New(problem.Unavailable, "network %s has no addresses", id)
			}
		}
		w = service.TendPortals(c.portalsOf(environment), c.portal, networks, c.at)
		return nil
	})
	if err == nil {
		err = c.removePortals(ctx, w.Gone)
	}
	if err == nil && w.Keep == nil {
		w.Keep, err = c.startPortal(ctx, environment, w.Next)
	}
	if err == nil {
		err = c.onPortal(ctx, "attach portal", w.Keep.Container, func(p *service.Portal) {
			p.Networks = slices.Sorted(slices.Values(networks))
		})
	}
	for id, off := range w.Detach {
		if err == nil {
			err = c.onPortal(ctx, "detach portal", id, func(p *service.Portal) {
				p.Networks = slices.DeleteFunc(slices.Clone(p.Networks), func(n string) bool { return slices.Contains(off, n) })
			})
		}
	}
	if err != nil {
		return err
	}
	return c.removePortals(ctx, w.Over)
}

func (c *Cluster) startPortal(ctx context.Context, environment string, generation int) (*service.Portal, error) {
	var p service.Portal
	err := c.act(ctx, "make portal", func() error {
		p = service.Portal{Container: c.box(), Environment: environment, Generation: generation, Image: c.portal, Created: c.at}
		if slices.ContainsFunc(c.portals, func(o service.Portal) bool { return o.Environment == environment && o.Generation == generation }) {
			return problem.New(problem.Conflict, "the name of portal %d of %s is taken", generation, environment)
		}
		c.portals = append(c.portals, p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &p, c.onPortal(ctx, "run portal", p.Container, func(p *service.Portal) { p.Running = true })
}

func (c *Cluster) onPortal(ctx context.Context, call, container string, do func(p *service.Portal)) error {
	return c.act(ctx, call, func() error {
		for i := range c.portals {
			if c.portals[i].Container == container {
				do(&c.portals[i])
				return nil
			}
		}
		return problem.New(problem.NotFound, "no portal %s", container)
	})
}

// RemovePortal ends an environment's portals.
func (c *Cluster) RemovePortal(ctx context.Context, environment string) error {
	c.mu.Lock()
	all := c.portalsOf(environment)
	c.mu.Unlock()
	return c.removePortals(ctx, all)
}

func (c *Cluster) removePortals(ctx context.Context, all []service.Portal) error {
	for _, gone := range all {
		err := c.act(ctx, "remove portal", func() error {
			c.portals = slices.DeleteFunc(c.portals, func(p service.Portal) bool { return p.Container == gone.Container })
			if len(c.portalsOf(gone.Environment)) > 0 && !slices.ContainsFunc(c.portalsOf(gone.Environment), func(p service.Portal) bool { return p.Running }) && gone.Running {
				c.broken = append(c.broken, fmt.Sprintf("%s was left without a portal that runs", gone.Environment))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) portalsOf(environment string) []service.Portal {
	return slices.DeleteFunc(slices.Clone(c.portals), func(p service.Portal) bool { return p.Environment != environment })
}
