package client

import (
	"context"
	"net/url"
	"time"

	"havre/internal/api"
)

// Alerts tells what is wrong by the rules.
func (c *Client) Alerts(ctx context.Context) (api.Alerts, error) {
	return get[api.Alerts](ctx, c, call{path: api.PathAlerts})
}

// Silence keeps what name matches from being told for a while; 0 ends it.
func (c *Client) Silence(ctx context.Context, name string, span time.Duration) (api.Alerts, error) {
	return get[api.Alerts](ctx, c, call{path: api.PathSilence, query: url.Values{"name": {name}, "for": {span.String()}}})
}

// TestAlerts sends a test by a channel, or by each.
func (c *Client) TestAlerts(ctx context.Context, channel string) ([]api.Tested, error) {
	q := url.Values{}
	if channel != "" {
		q.Set("channel", channel)
	}
	return get[[]api.Tested](ctx, c, call{path: api.PathAlertTest, query: q})
}
