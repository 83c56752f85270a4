package client

import (
	"context"

	"havre/internal/api"
)

// Version says who is there.
func (c *Client) Version(ctx context.Context) (api.Version, error) {
	return get[api.Version](ctx, c, call{path: api.PathVersion})
}

// Status says how Havre itself is.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, call{path: api.PathStatus})
}

// Authority gives the root certificate, PEM.
func (c *Client) Authority(ctx context.Context) ([]byte, error) {
	return raw(ctx, c, call{path: api.PathAuthority})
}

// OpenAPI gives the API's own description.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	return raw(ctx, c, call{path: api.PathOpenAPI})
}
