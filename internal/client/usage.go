package client

import (
	"context"
	"net/url"

	"havre/internal/api"
)

// Usage tells what services use; an empty environment or project does not
// narrow.
func (c *Client) Usage(ctx context.Context, environment, project string) ([]api.Usage, error) {
	q := url.Values{}
	if environment != "" {
		q.Set("env", environment)
	}
	if project != "" {
		q.Set("project", project)
	}
	return get[[]api.Usage](ctx, c, call{path: api.PathUsage, query: q})
}

// Metrics gives what is measured, in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return raw(ctx, c, call{path: api.PathMetrics})
}
