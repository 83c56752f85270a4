package client

import (
	"context"
	"strconv"
	"time"

	"havre/internal/api"
)

// Access tells who came to a service.
func (c *Client) Access(ctx context.Context, t api.Target, o api.LogOptions) ([]api.Access, error) {
	k := named(api.PathAccess, api.PathAccess, t)
	if !o.Since.IsZero() {
		k.query.Set("since", o.Since.Format(time.RFC3339Nano))
	}
	if o.Tail > 0 {
		k.query.Set("tail", strconv.Itoa(o.Tail))
	}
	return get[[]api.Access](ctx, c, k)
}
