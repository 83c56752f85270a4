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
	narrow(k, o)
	return get[[]api.Access](ctx, c, k)
}

// AccessOn tells who came to a service since the part before: after is Next of
// that, and o counts no more. With an empty after it is the first part.
func (c *Client) AccessOn(ctx context.Context, t api.Target, o api.LogOptions, after string) (api.AccessPage, error) {
	k := named(api.PathAccessOn, api.PathAccessOn, t)
	if after != "" {
		k.query.Set("after", after)
	} else {
		narrow(k, o)
	}
	return get[api.AccessPage](ctx, c, k)
}

func narrow(k call, o api.LogOptions) {
	if !o.Since.IsZero() {
		k.query.Set("since", o.Since.Format(time.RFC3339Nano))
	}
	if o.Tail > 0 {
		k.query.Set("tail", strconv.Itoa(o.Tail))
	}
}
