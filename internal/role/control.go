package role

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"havre/internal/api"
	"havre/internal/cert"
	"havre/internal/disk"
	"havre/internal/problem"
	"havre/internal/route"
)

// control talks to the ingress over its control socket.
type control struct{ web *http.Client }

func newControl(socket string) *control {
	return &control{&http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return disk.Dial(ctx, "unix", socket) },
			MaxIdleConns:    2,
			IdleConnTimeout: time.Minute,
		},
	}}
}

// Follow hands the table over. What cannot be listened on comes back.
func (c *control) Follow(ctx context.Context, t route.Table) ([]route.Problem, error) {
	var done route.Applied
	err := c.ask(ctx, http.MethodPut, "/table", t, &done)
	return done.Problems, err
}

// Probe tries a target out.
// Errors: Unavailable when it does not accept.
func (c *control) Probe(ctx context.Context, t route.Target) error {
	var p route.Probed
	if err := c.ask(ctx, http.MethodPost, "/probe", route.Probe{Target: t}, &p); err != nil {
		return err
	}
	if !p.OK {
		return problem.New(problem.Unavailable, "%s", p.Says)
	}
	return nil
}

// Show has these challenges of a public authority answered, and no others.
func (c *control) Show(ctx context.Context, all []cert.Challenge) error {
	var q route.Challenges
	for _, one := range all {
		q.Challenges = append(q.Challenges, route.Challenge(one))
	}
	return c.ask(ctx, http.MethodPut, "/challenges", q, &struct{}{})
}

// Status asks how it is.
func (c *control) Status(ctx context.Context) (route.Status, error) {
	var s route.Status
	err := c.ask(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Access reads a service's access log, as accesslog.Book answers.
func (c *control) Access(ctx context.Context, q url.Values) (api.AccessPage, error) {
	var all api.AccessPage
	err := c.ask(ctx, http.MethodGet, "/access?"+q.Encode(), nil, &all)
	return all, err
}

// Counts tells what came to each service.
func (c *control) Counts(ctx context.Context) ([]route.Count, error) {
	var n route.Counts
	err := c.ask(ctx, http.MethodGet, "/counts", nil, &n)
	return n.Counts, err
}

// longestAnswer is many times an access log of the usual size.
const longestAnswer = 64 << 20

func (c *control) ask(ctx context.Context, method, path string, question, answer any) error {
	var body io.Reader
	if question != nil {
		text, err := json.Marshal(question)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://ingress"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.web.Do(r)
	if err != nil {
		return problem.New(problem.Unavailable, "the ingress does not answer").Because(err).With("look with: havre status")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		return problem.New(problem.Unavailable, "the answer of the ingress broke off").Because(err)
	}
	if resp.StatusCode != http.StatusOK {
		return problem.New(problem.Internal, "the ingress refuses %s: %s", path, text)
	}
	return json.Unmarshal(text, answer)
}
