package client

import (
	"context"
	"net/url"
	"strconv"

	"havre/internal/api"
	"havre/internal/problem"
)

// Report takes one line of a long answer; Done is not among them.
type Report = func(api.Progress)

// Plan says what Apply would do.
func (c *Client) Plan(ctx context.Context, want api.Apply) (api.Plan, error) {
	return get[api.Plan](ctx, c, call{path: api.PathPlan, body: want})
}

// Apply makes a project as declared and returns when it is so, or is not. When
// ctx ends before, the server goes on.
func (c *Client) Apply(ctx context.Context, want api.Apply, report Report) error {
	_, err := c.progress(ctx, call{path: api.PathApply, body: want}, report)
	return err
}

// Start starts a service or project that was stopped.
func (c *Client) Start(ctx context.Context, t api.Target, report Report) error {
	_, err := c.progress(ctx, named(api.PathStart, api.PathPStart, t), report)
	return err
}

// Stop stops a service or project until it is started again.
func (c *Client) Stop(ctx context.Context, t api.Target, report Report) error {
	_, err := c.progress(ctx, named(api.PathStop, api.PathPStop, t), report)
	return err
}

// Restart gives a service or project new containers.
func (c *Client) Restart(ctx context.Context, t api.Target, report Report) error {
	_, err := c.progress(ctx, named(api.PathRestart, api.PathPRestart, t), report)
	return err
}

// Down stops all services of this Havre.
func (c *Client) Down(ctx context.Context, report Report) error {
	_, err := c.progress(ctx, call{path: api.PathDown}, report)
	return err
}

// Remove takes a service or project away, and more when asked.
func (c *Client) Remove(ctx context.Context, t api.Target, how api.Removal) (api.Removed, error) {
	k := named(api.PathRemove, api.PathPRemove, t)
	for name, asked := range map[string]bool{"volumes": how.Volumes, "force": how.Force} {
		if asked {
			k.query.Set(name, strconv.FormatBool(asked))
		}
	}
	return get[api.Removed](ctx, c, k)
}

// named is a call about a target.
func named(service, project string, t api.Target) call {
	k := call{path: service, name: t.Name, query: url.Values{}}
	if t.Project {
		k.path = project
	}
	if t.Environment != "" {
		k.query.Set("env", t.Environment)
	}
	return k
}

// progress follows a piece of work to its end, which Done tells.
func (c *Client) progress(ctx context.Context, k call, report Report) (*api.Image, error) {
	var done *api.Done
	err := each(ctx, c, k, func(p api.Progress) error {
		if p.Done != nil {
			done = p.Done
		} else {
			report(p)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case done == nil:
		return nil, problem.New(problem.Unavailable, "the server stopped before the work was done").
			With("it goes on when the server is back; look with: havre ps")
	case done.OK:
		return done.Image, nil
	case len(done.Problems) == 0:
		return nil, problem.New(problem.Failed, "it failed, and the server does not say why")
	}
	return nil, api.Problems(done.Problems)
}
