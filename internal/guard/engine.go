package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// oldest is the oldest API version that Havre speaks: Engine 20.10.
const oldest = "1.41"

// engine is the Docker Engine behind its socket.
type engine struct {
	socket string
	client *http.Client

	mu      sync.Mutex // guards what follows
	version string     // the only one that is spoken; "" until the engine has answered
}

func newEngine(socket string) *engine {
	e := &engine{socket: socket}
	e.client = &http.Client{
		Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx) },
			DisableCompression: true,
			IdleConnTimeout:    30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e
}

func (e *engine) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", e.socket)
}

// speaks gives the one API version: 1.41, or the engine's oldest if that is
// newer.
func (e *engine) speaks(ctx context.Context) (string, error) {
	e.mu.Lock()
	known := e.version
	e.mu.Unlock()
	if known != "" {
		return known, nil
	}
	var v struct{ MinAPIVersion string }
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/version", nil)
	if err != nil {
		return "", err
	}
	if err := e.answer(r, &v); err != nil {
		return "", err
	}
	version := oldest
	if newer(v.MinAPIVersion, oldest) {
		version = v.MinAPIVersion
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.version = version
	return version, nil
}

// newer compares versions like 1.41.
func newer(a, b string) bool {
	number := func(s string) int {
		major, minor, _ := strings.Cut(s, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		return x*1000 + y
	}
	return number(a) > number(b)
}

// request makes the request for a wire form.
func (e *engine) request(ctx context.Context, w dockercall.Wire, body io.Reader) (*http.Request, error) {
	version, err := e.speaks(ctx)
	if err != nil {
		return nil, err
	}
	if w.Body != nil {
		body = bytes.NewReader(w.Body)
	}
	r, err := http.NewRequestWithContext(ctx, w.Method, "http://engine/v"+version+w.Path, body)
	if err != nil {
		return nil, err
	}
	r.URL.RawQuery = w.Query
	if w.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, nil
}

// do sends a request and gives the engine's answer, whatever its status.
func (e *engine) do(r *http.Request) (*http.Response, error) {
	answer, err := e.client.Do(r)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "the Docker engine does not answer").Because(err).
			With("is it running? look at: docker info")
	}
	return answer, nil
}

// maxAnswer is the most that the guard reads of an answer it looks into.
const maxAnswer = 64 << 20

// answer sends a request and reads the engine's JSON into v.
// Errors: NotFound, Conflict and so on, as the engine's status says.
func (e *engine) answer(r *http.Request, v any) error {
	a, err := e.do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := failed(a); err != nil {
		return err
	}
	if v == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(a.Body, maxAnswer))
		return err
	}
	return json.NewDecoder(io.LimitReader(a.Body, maxAnswer)).Decode(v)
}

// failed is the problem an answer's status stands for, or nil.
func failed(a *http.Response) error {
	if a.StatusCode < 400 {
		return nil
	}
	var m struct {
		Message string `json:"message"`
	}
	text, _ := io.ReadAll(io.LimitReader(a.Body, 64<<10))
	if json.Unmarshal(text, &m) != nil || m.Message == "" {
		m.Message = strings.TrimSpace(string(text))
	}
	kind := problem.Failed
	switch a.StatusCode {
	case http.StatusNotFound:
		kind = problem.NotFound
	case http.StatusConflict:
		kind = problem.Conflict
	case http.StatusBadRequest:
		kind = problem.Invalid
	case http.StatusServiceUnavailable:
		kind = problem.Unavailable
	}
	return problem.New(kind, "the engine says: %s", m.Message)
}

// get asks for path and reads the JSON into v.
func (e *engine) get(ctx context.Context, path, query string, v any) error {
	return e.call(ctx, dockercall.Wire{Method: http.MethodGet, Path: path, Query: query}, v)
}

// call sends w and reads the JSON into v, which may be nil.
func (e *engine) call(ctx context.Context, w dockercall.Wire, v any) error {
	r, err := e.request(ctx, w, nil)
	if err != nil {
		return err
	}
	if err := e.answer(r, v); err != nil {
		return fmt.Errorf("%s %s: %w", w.Method, w.Path, err)
	}
	return nil
}

// post sends v as JSON and reads the JSON answer into out, which may be nil.
func (e *engine) post(ctx context.Context, path, query string, v, out any) error {
	w := dockercall.Wire{Method: http.MethodPost, Path: path, Query: query}
	if v != nil {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		w.Body = text
	}
	return e.call(ctx, w, out)
}
