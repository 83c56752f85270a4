// Package client is the Havre API from the caller's side: one method per path.
// What goes wrong comes back as the problem the server found.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"havre/internal/api"
	"havre/internal/disk"
	"havre/internal/problem"
	"havre/internal/secret"
)

// Config says where the server is and who asks.
type Config struct {
	URL   string      // "unix:///path/of/socket", "http://localhost:7080" or an https URL
	Token secret.Text // may be empty for root on the socket
}

// Client calls one server. It keeps no state but idle connections and may be
// used by several goroutines.
type Client struct {
	config Config
	base   string // scheme and host as HTTP sees them
	http   *http.Client
}

// New makes a client without calling anything.
// Errors: Invalid for a URL that cannot be used.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, invalidURL(c.URL).Because(err)
	}
	cl := &Client{config: c}
	transport := &http.Transport{MaxIdleConnsPerHost: 2}
	switch {
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		cl.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return disk.Dial(ctx, "unix", u.Path)
		}
	case u.Scheme == "http" && !local(u.Hostname()):
		return nil, problem.New(problem.Invalid, "%s would carry the token unprotected over the network", c.URL).
			With("go through an SSH tunnel (ssh -L 7080:localhost:7080 HOST) and use http://localhost:7080")
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "":
		cl.base = u.Scheme + "://" + u.Host
	default:
		return nil, invalidURL(c.URL)
	}
	// A redirect would send the token to wherever the answer says.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cl.http = &http.Client{Transport: transport, CheckRedirect: stay}
	return cl, nil
}

func invalidURL(u string) *problem.Problem {
	return problem.New(problem.Invalid, "%q is not the address of a Havre server", u).
		With("write it like http://localhost:7080 or unix:///path/of/its.sock")
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// call is one request before it is sent.
type call struct {
	path  string // of package api
	name  string // for {name}
	query url.Values
	body  any // sent as JSON; an io.Reader is sent as it is, as a tar
}

// address fills a path of package api.
func (c *Client) address(k call) (method, address string) {
	method, path, _ := strings.Cut(k.path, " ")
	address = c.base + strings.Replace(path, "{name}", url.PathEscape(k.name), 1)
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	return method, address
}

// do sends a request. An answer that is not a success comes back as a problem;
// else the caller closes the body.
func (c *Client) do(ctx context.Context, k call) (*http.Response, error) {
	method, address := c.address(k)
	var body io.Reader
	kind := ""
	switch b := k.body.(type) {
	case nil:
	case io.Reader:
		body, kind = b, api.ContentTar
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		body, kind = bytes.NewReader(text), api.ContentJSON
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	c.sign(r.Header)
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer resp.Body.Close() //nolint:errcheck // read, never written
		return nil, problemOf(resp)
	}
	return resp, nil
}

func (c *Client) sign(h http.Header) {
	if t := c.config.Token.Reveal(); t != "" {
		h.Set("Authorization", "Bearer "+t)
	}
}

// problemOf reads what the server says is wrong.
func problemOf(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return problem.New(problem.Unavailable, "read the server's answer").Because(err)
	}
	var p api.Problem
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if kind != api.ContentProblem || json.Unmarshal(text, &p) != nil {
		return problem.New(problem.Unavailable, "something that is not a Havre server answered %s", resp.Status).
			With("check the address: HAVRE_URL, or the saved context")
	}
	return p.Error()
}

// unreachable explains why no answer came at all.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err // without the address, which we name ourselves
	}
	p := problem.New(problem.Unavailable, "no Havre server answers at %s", c.config.URL).Because(err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return p.With("use this socket as root, or set HAVRE_URL=http://localhost:7080 and HAVRE_TOKEN")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return p.With("start it with: havre up")
	}
	return p.With("check the address: HAVRE_URL, or the saved context")
}

// get asks for one value.
func get[T any](ctx context.Context, c *Client, k call) (value T, err error) {
	resp, err := c.do(ctx, k)
	if err != nil {
		return value, err
	}
	defer resp.Body.Close() //nolint:errcheck // read, never written
	if err := json.NewDecoder(resp.Body).Decode(&value); err != nil {
		return value, c.broken(ctx, err)
	}
	return value, nil
}

// raw asks for bytes.
func raw(ctx context.Context, c *Client, k call) ([]byte, error) {
	resp, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read, never written
	return io.ReadAll(io.LimitReader(resp.Body, 16<<20))
}

// each asks for a stream and hands on one value after the other until it ends
// or yield fails.
func each[T any](ctx context.Context, c *Client, k call, yield func(T) error) error {
	resp, err := c.do(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read, never written
	d := json.NewDecoder(resp.Body)
	for {
		var value T
		err := d.Decode(&value)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return c.broken(ctx, err)
		}
		if err := yield(value); err != nil {
			return err
		}
	}
}

// broken is an answer that ended in its middle.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return problem.New(problem.Unavailable, "the server's answer broke off").Because(fmt.Errorf("%s: %w", c.config.URL, err)).
		With("see whether the server is well: havre status")
}
