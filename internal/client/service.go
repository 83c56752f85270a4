package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"havre/internal/api"
)

// Services lists services; an empty environment or project does not narrow.
func (c *Client) Services(ctx context.Context, environment, project string) ([]api.Service, error) {
	q := url.Values{}
	if environment != "" {
		q.Set("env", environment)
	}
	if project != "" {
		q.Set("project", project)
	}
	return get[[]api.Service](ctx, c, call{path: api.PathServices, query: q})
}

// Service shows one service.
func (c *Client) Service(ctx context.Context, t api.Target) (api.Service, error) {
	return get[api.Service](ctx, c, named(api.PathService, api.PathService, t))
}

// Declared gives a project as it was applied last.
func (c *Client) Declared(ctx context.Context, t api.Target) (api.Declared, error) {
	return get[api.Declared](ctx, c, named(api.PathProject, api.PathProject, t))
}

// Why explains the state of a service.
func (c *Client) Why(ctx context.Context, t api.Target) (api.Why, error) {
	return get[api.Why](ctx, c, named(api.PathWhy, api.PathWhy, t))
}

// Logs hands on what a service, or each of a project, printed. It ends by
// itself unless o follows.
func (c *Client) Logs(ctx context.Context, t api.Target, o api.LogOptions, yield func(api.Line) error) error {
	k := named(api.PathLogs, api.PathPLogs, t)
	if o.Follow {
		k.query.Set("follow", "true")
	}
	if !o.Since.IsZero() {
		k.query.Set("since", o.Since.Format(time.RFC3339Nano))
	}
	if o.Tail > 0 {
		k.query.Set("tail", strconv.Itoa(o.Tail))
	}
	if o.Rollout > 0 {
		k.query.Set("rollout", strconv.Itoa(o.Rollout))
	}
	return each(ctx, c, k, func(l api.Line) error {
		if l.Problem != nil {
			return l.Problem
		}
		return yield(l)
	})
}
