package client

import (
	"context"
	"net/url"

	"havre/internal/api"
)

// Volumes lists volumes; empty arguments do not narrow. Unless whole, big ones
// are counted in part.
func (c *Client) Volumes(ctx context.Context, environment, project string, whole bool) ([]api.Volume, error) {
	q := url.Values{}
	for name, value := range map[string]string{"env": environment, "project": project} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if whole {
		q.Set("whole", "true")
	}
	return get[[]api.Volume](ctx, c, call{path: api.PathVolumes, query: q})
}

// CleanVolume empties a cache or a log.
func (c *Client) CleanVolume(ctx context.Context, environment, name string) (api.Cleaned, error) {
	return get[api.Cleaned](ctx, c, call{path: api.PathVolumeClean, name: name, query: imageQuery(environment, "")})
}

// RemoveVolume removes a volume that no service has.
func (c *Client) RemoveVolume(ctx context.Context, environment, name string) (api.Removed, error) {
	return get[api.Removed](ctx, c, call{path: api.PathVolumeRm, name: name, query: imageQuery(environment, "")})
}
