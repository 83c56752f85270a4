package docker_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/lab"
	"havre/internal/route"
	"havre/internal/spec"
)

// fronted has every field that says how the ingress serves a service.
const fronted = `
services:
  led:
    image: app:1
    environment: {HTTP: "8081"}
    x-havre:
      domains: [{host: led.fronted.test, port: 8081, path: /in}]
      strip: true
      body: 10b
  below: {image: "app:1", x-havre: {domains: ["below.fronted.test:8080"], path: /at, redirect: true}}
  asked: {image: "app:1", x-havre: {domains: ["asked.fronted.test"], users: ["ann:$$2y$$05$$abcdefghijklmnopqrstuuJ4JxqYcPz0yQ0m0o2vYJ5lQ3t8Zr1eC"]}}
  few: {image: "app:1", x-havre: {domains: ["few.fronted.test"], rate: {limit: 1/h, burst: 2}}}
  grpc: {image: "app:1", x-havre: {domains: ["grpc.fronted.test"], scheme: h2c}}
  stuck: {image: "app:1", scale: 2, x-havre: {domains: ["stuck.fronted.test"], sticky: cookie, compress: false}}
  ill: {image: "app:1", environment: {UNHEALTHY: "1"}, x-havre: {domains: ["ill.fronted.test"], check: {path: /health, every: 1s, timeout: 900ms}}}
  told: {image: "app:1", environment: {TCP: "9000"}, ports: [{target: 9000, published: "18272"}], x-havre: {proxy: v2}}
  packets: {image: "app:1", environment: {UDP: "9001"}, ports: [{target: 9001, published: "18273", protocol: udp}]}
  own: {image: "app:1", environment: {TCP: "9000"}, x-havre: {domains: [{host: own.fronted.test, port: 9000, tls: passthrough}]}}
`

// TestWhatTheIngressShallDoIsPassedOn looks at what clients get; at the
// ingress's table only where clients would have to wait.
func TestWhatTheIngressShallDoIsPassedOn(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "fronted", fronted)
	led := "http://led.fronted.test/in"
	for url, want := range map[string]string{led + "/host": "led.fronted.test", led + "/header?arg=X-Forwarded-Prefix": "/in"} {
		if got, err := ask(t.Context(), h.fromMachine(80), url); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", url, got, err, want)
		}
	}
	for _, c := range []struct {
		url, body string
		want      int
	}{
		{"http://led.fronted.test/out", "", http.StatusNotFound},
		{led + "/post", "more than ten bytes", http.StatusRequestEntityTooLarge},
		{"http://below.fronted.test/", "", http.StatusNotFound},
		{"http://below.fronted.test/at/", "", http.StatusPermanentRedirect},
		{"http://asked.fronted.test/", "", http.StatusUnauthorized},
		{"http://few.fronted.test/", "", http.StatusOK},
		{"http://few.fronted.test/", "", http.StatusOK},
		{"http://few.fronted.test/", "", http.StatusTooManyRequests},
		{"http://grpc.fronted.test/", "", http.StatusBadGateway}, // the app speaks HTTP/1.1 only
	} {
		if got := h.posts(t, c.url, c.body); got.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.url, got.Status, c.want)
		}
	}
	if got := h.posts(t, "http://stuck.fronted.test/", ""); len(got.Cookies()) != 1 {
		t.Errorf("no cookie leads back to the replica: %v", got.Header)
	}
	lab.Eventually(t, "the one that is ill to be left out", func(context.Context) error {
		if got := h.posts(t, "http://ill.fronted.test/", ""); got.StatusCode != http.StatusServiceUnavailable {
			return errors.New(got.Status)
		}
		return nil
	})
	lab.Eventually(t, "that to be told", func(ctx context.Context) error {
		ill, err := h.service(ctx, "fronted.ill")
		if err == nil && (ill.State != "failing" || ill.Healthy != 0) {
			err = fmt.Errorf("%+v", ill)
		}
		return err
	})
	has(t, "why", h.must(t, "why", "fronted.ill"), "GET /health is answered with 503")
	has(t, "the events", h.must(t, "events", "fronted.ill"), "GET /health is answered with 503")
	h.must(t, "stop", "fronted.below")
	if got := h.posts(t, "http://below.fronted.test/at/", ""); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("at a stopped service's name: %s, %v", got.Status, got.Header)
	}
	h.hearsWhoCalls(t, 18272)
	if got := h.says(t, 18273, "a word"); got != "v1 a word" {
		t.Errorf("over UDP it says %q", got)
	}
	h.speaksItsOwnTLS(t, "own.fronted.test")
	h.hasInItsTable(t)
}

// posts sends a body, or asks where there is none, and gives the answer's head.
func (h *havre) posts(t *testing.T, url, body string) *http.Response {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Transport{DialContext: h.fromMachine(80), DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	answer.Body.Close()
	return answer
}

// hearsWhoCalls wants a service that repeats lines to repeat the head of the
// PROXY protocol's version 2, which stood before what the client said.
func (h *havre) hearsWhoCalls(t *testing.T, port int) {
	t.Helper()
	c, err := h.fromMachine(port)(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	heard := ""
	for lines := bufio.NewScanner(c); lines.Scan() && lines.Text() != "QUIT"; {
		heard += lines.Text() + "\n"
		if strings.Contains(heard, "a line") {
			t.Errorf("the app heard no head before %q", heard)
			return
		}
	}
	if !strings.Contains(heard, "\x00") {
		t.Errorf("the app heard %q", heard)
	}
}

// speaksItsOwnTLS wants that nobody but the service answers a TLS client: this
// one greets in plain text.
func (h *havre) speaksItsOwnTLS(t *testing.T, host string) {
	t.Helper()
	c, err := h.fromMachine(443)(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var plain tls.RecordHeaderError
	if err := tls.Client(c, &tls.Config{ServerName: host}).Handshake(); !errors.As(err, &plain) || !strings.HasPrefix(string(plain.RecordHeader[:]), "v1 ") {
		t.Errorf("TLS is not passed through: %v", err)
	}
}

// hasInItsTable looks at what the ingress was told and keeps.
func (h *havre) hasInItsTable(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.data, "ingress", "table.json"))
	if err != nil {
		t.Fatal(err)
	}
	var table route.Table
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	front := func(host string) spec.Front {
		i := slices.IndexFunc(table.HTTP, func(r route.HTTP) bool { return r.Host == host })
		if i < 0 {
			t.Fatalf("no route for %s", host)
		}
		return table.HTTP[i].Front
	}
	if c := front("ill.fronted.test").Check; c.Every.Std() != time.Second || c.Timeout.Std() != 900*time.Millisecond {
		t.Errorf("check: %+v", c)
	}
	if f := front("stuck.fronted.test"); !f.Plain || f.Sticky != spec.ByCookie {
		t.Errorf("compress and sticky: %+v", f)
	}
	if !slices.ContainsFunc(table.TCP, func(r route.TCP) bool { return r.Listen == 18272 && fmt.Sprint(r.Proxy) == "v2" }) {
		t.Errorf("proxy: %+v", table.TCP)
	}
}
