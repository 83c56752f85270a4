package client

import (
	"context"

	"havre/internal/api"
)

// Secrets lists environments' secrets without what they hold; an empty
// environment does not narrow.
func (c *Client) Secrets(ctx context.Context, environment string) ([]api.Secret, error) {
	return get[[]api.Secret](ctx, c, call{path: api.PathSecrets, query: imageQuery(environment, "")})
}

// CreateSecret gives a secret a value, in place of a former one if it has any.
func (c *Client) CreateSecret(ctx context.Context, want api.NewSecret) (api.Secret, error) {
	return get[api.Secret](ctx, c, call{path: api.PathSecretNew, body: want})
}

// RenewSecret has the services that use a secret run with its present value.
func (c *Client) RenewSecret(ctx context.Context, environment, name string, report Report) error {
	_, err := c.progress(ctx, call{path: api.PathSecretUse, query: imageQuery(environment, name)}, report)
	return err
}

// RemoveSecret takes a secret away that nothing uses.
func (c *Client) RemoveSecret(ctx context.Context, environment, name string) (api.Removed, error) {
	return get[api.Removed](ctx, c, call{path: api.PathSecretRm, query: imageQuery(environment, name)})
}
