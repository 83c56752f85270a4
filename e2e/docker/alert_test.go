package docker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"havre/internal/lab"
)

// heard is what a mail server and a webhook's receiver in the world took.
type heard struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (h *heard) note(what string, r io.Reader) error {
	b, err := io.ReadAll(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintf(&h.text, "%s: %s\n", what, b)
	return err
}

func (h *heard) says(words ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range words {
		if !strings.Contains(h.text.String(), w) {
			return fmt.Errorf("no %q in %s", w, h.text.String())
		}
	}
	return nil
}

// Mail, Rcpt, Data, Reset and Logout make a session of it.
func (h *heard) Mail(string, *smtp.MailOptions) error { return nil }
func (h *heard) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (h *heard) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	return errors.Join(err, h.note("mail", bytes.NewReader(b)))
}
func (h *heard) Reset()        {}
func (h *heard) Logout() error { return nil }

// hear listens in the world for mail and webhooks.
func hear(t *testing.T, w *lab.World) (h *heard, mail, hook string) {
	t.Helper()
	h = &heard{}
	var ls [2]net.Listener
	for i := range ls {
		l, err := w.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ls[i] = l
	}
	post := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return h, nil }))
	web := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = h.note("hook "+r.Header.Get("X-Havre-Signature"), r.Body) // a broken body lacks its words
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = post.Serve(ls[0]) })
	serving.Go(func() { _ = web.Serve(ls[1]) })
	t.Cleanup(func() { _, _ = post.Close(), web.Close(); serving.Wait() })
	return h, ls[0].Addr().String(), "http://" + ls[1].Addr().String() + "/"
}

// tellsOfAnOutage: a service that is down is told by mail and webhook, and its end too.
func (h *havre) tellsOfAnOutage(t *testing.T, ears *heard) {
	t.Helper()
	lab.Eventually(t, "both channels to take a test", func(ctx context.Context) error {
		out, err := h.command(ctx, "alert", "test").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return ears.says("mail: ", "hook sha256=")
	})
	h.applyBadly(t, "down", "services: {s: {image: 'app:1', environment: {CRASH: '3'}}}")
	lab.Eventually(t, "mail and webhook to tell of it", func(context.Context) error {
		return ears.says(`PROBLEM service-down/prod.down.s`, `"about":"prod.down.s","state":"unwell"`)
	})
	if out := h.must(t, "alert", "ls"); !strings.Contains(out, "service-down/prod.down.s") {
		t.Errorf("alert ls shows %s", out)
	}
	h.must(t, "rm", "down/", "--yes")
	lab.Eventually(t, "its end to be told", func(context.Context) error {
		return ears.says(`OVER service-down/prod.down.s`, `"about":"prod.down.s","state":"well"`)
	})
}

// keepsItsRules: a configuration that is broken changes nothing, and is told.
func (h *havre) keepsItsRules(t *testing.T, ears *heard) {
	t.Helper()
	file := filepath.Join(h.data, "config", "server.json")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"alert": {`, string(good)} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		state := "well"
		if text != string(good) {
			state = "unwell"
		}
		lab.Eventually(t, "people to hear that the configuration is "+state, func(context.Context) error {
			return ears.says(`"about":"server","state":"` + state + `"`)
		})
		if out := h.must(t, "alert", "ls"); strings.Contains(out, "configuration/server") != (state == "unwell") {
			t.Errorf("%s: alert ls shows %s", state, out)
		}
	}
	if out := h.must(t, "events", "--kind", "alert"); !strings.Contains(out, "configuration/server") {
		t.Errorf("no event: %s", out)
	}
}

// alerting writes a server's configuration that tells both channels.
func (h *havre) alerting(t *testing.T, mail, hook string) {
	t.Helper()
	key := filepath.Join(h.data, "server", "hook.key")
	config := fmt.Sprintf(`{"alert": {
		"channels": [
			{"name": "ops", "mail": {"server": %q, "tls": "none", "from": "havre@example.org", "to": ["ops@example.org"]}},
			{"name": "chat", "webhook": {"url": %q, "secretFile": %q}}],
		"rules": [{"name": "service-down", "when": "down", "for": "1s"}]}}`, mail, hook, key)
	for file, text := range map[string]string{key: "the key\n", filepath.Join(h.data, "config", "server.json"): config} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h.must(t, "config", "check", "server", "--data", h.data)
}
