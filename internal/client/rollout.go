package client

import (
	"context"
	"strconv"

	"havre/internal/api"
)

// History gives the rollouts of a service that are remembered, newest first.
func (c *Client) History(ctx context.Context, t api.Target) ([]api.Rollout, error) {
	return get[[]api.Rollout](ctx, c, named(api.PathHistory, api.PathHistory, t))
}

// Diff compares two rollouts of a service.
func (c *Client) Diff(ctx context.Context, t api.Target, o api.DiffOptions) (api.Diff, error) {
	k := named(api.PathDiff, api.PathDiff, t)
	if o.From > 0 {
		k.query.Set("from", strconv.Itoa(o.From))
	}
	if o.To > 0 {
		k.query.Set("to", strconv.Itoa(o.To))
	}
	if o.Secrets {
		k.query.Set("secrets", "true")
	}
	return get[api.Diff](ctx, c, k)
}

// Rollback makes a service run like a former rollout, 0 for what served
// before, and returns when it does, or does not.
func (c *Client) Rollback(ctx context.Context, t api.Target, to int, report Report) error {
	k := named(api.PathRollback, api.PathRollback, t)
	if to > 0 {
		k.query.Set("to", strconv.Itoa(to))
	}
	_, err := c.progress(ctx, k, report)
	return err
}

// Scale changes how many containers a service has.
func (c *Client) Scale(ctx context.Context, t api.Target, to api.Scale, report Report) error {
	k := named(api.PathScale, api.PathScale, t)
	k.query.Set("replicas", strconv.Itoa(to.Replicas))
	if to.Shared {
		k.query.Set("shared", "true")
	}
	_, err := c.progress(ctx, k, report)
	return err
}
