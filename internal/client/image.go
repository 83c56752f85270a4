package client

import (
	"context"
	"io"
	"net/url"

	"havre/internal/api"
	"havre/internal/problem"
)

// Images lists images; an empty environment does not narrow.
func (c *Client) Images(ctx context.Context, environment string) ([]api.Image, error) {
	return get[[]api.Image](ctx, c, call{path: api.PathImages, query: imageQuery(environment, "")})
}

// Load brings a docker-archive in; name is "" to keep the archive's own.
func (c *Client) Load(ctx context.Context, environment, name string, archive io.Reader) (api.Image, error) {
	return get[api.Image](ctx, c, call{path: api.PathLoad, query: imageQuery(environment, name), body: archive})
}

// Pull has an image taken from its registry. When ctx ends before, the server
// goes on.
func (c *Client) Pull(ctx context.Context, environment, name string, report Report) (api.Image, error) {
	image, err := c.progress(ctx, call{path: api.PathPull, query: imageQuery(environment, name)}, report)
	if err != nil {
		return api.Image{}, err
	}
	if image == nil {
		return api.Image{}, problem.New(problem.Failed, "the pull ended without an image")
	}
	return *image, nil
}

// Build makes an image from a tar of its context.
func (c *Client) Build(ctx context.Context, o api.BuildOptions, context io.Reader, report Report) (api.Image, error) {
	q := imageQuery(o.Environment, o.Name)
	if o.Dockerfile != "" {
		q.Set("dockerfile", o.Dockerfile)
	}
	if o.Target != "" {
		q.Set("target", o.Target)
	}
	for _, a := range o.Args {
		q.Add("arg", a)
	}
	if o.NoCache {
		q.Set("nocache", "true")
	}
	image, err := c.progress(ctx, call{path: api.PathBuild, query: q, body: context}, report)
	if err != nil {
		return api.Image{}, err
	}
	if image == nil {
		return api.Image{}, problem.New(problem.Failed, "the build ended without an image")
	}
	return *image, nil
}

// RemoveImage takes a name away from an image.
func (c *Client) RemoveImage(ctx context.Context, environment, name string) (api.Removed, error) {
	return get[api.Removed](ctx, c, call{path: api.PathImageRm, query: imageQuery(environment, name)})
}

func imageQuery(environment, name string) url.Values {
	q := url.Values{}
	if environment != "" {
		q.Set("env", environment)
	}
	if name != "" {
		q.Set("name", name)
	}
	return q
}
