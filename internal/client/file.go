package client

import (
	"context"
	"io"
	"net/url"

	"havre/internal/api"
)

func fileCall(p string, t api.Target, at string) call {
	q := url.Values{"path": {at}}
	if t.Environment != "" {
		q.Set("env", t.Environment)
	}
	return call{path: p, name: t.Name, query: q}
}

// Stat tells what stands at a path of a service, or of a volume when the
// target's name is PROJECT/VOLUME.
func (c *Client) Stat(ctx context.Context, t api.Target, at string) (api.FileStat, error) {
	return get[api.FileStat](ctx, c, fileCall(api.PathFileStat, t, at))
}

// GetFile reads a file or directory as a tar, whose entries begin with the last
// part of the path. The caller closes it.
func (c *Client) GetFile(ctx context.Context, t api.Target, at string) (io.ReadCloser, error) {
	resp, err := c.do(ctx, fileCall(api.PathFileGet, t, at))
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Fill makes a new volume, PROJECT/VOLUME, with what a tar holds.
func (c *Client) Fill(ctx context.Context, t api.Target, archive io.Reader) error {
	k := fileCall(api.PathFilePut, t, "/")
	k.query.Set("fill", "true")
	k.body = archive
	_, err := get[api.Copied](ctx, c, k)
	return err
}

// PutFile unpacks a tar in a directory.
func (c *Client) PutFile(ctx context.Context, t api.Target, at string, archive io.Reader) error {
	k := fileCall(api.PathFilePut, t, at)
	k.body = archive
	_, err := get[api.Copied](ctx, c, k)
	return err
}
