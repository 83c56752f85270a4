package notify_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"havre/internal/cert"
)

// letter is what an SMTP server took.
type letter struct {
	user, from string
	to         []string
	text       string
}

// postOffice is a real SMTP server.
type postOffice struct {
	addr, ca string

	mu      sync.Mutex // guards what follows
	letters []letter
	refuse  int // the next so many
}

func (o *postOffice) taken() []letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]letter{}, o.letters...)
}

type session struct {
	o *postOffice
	l letter
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "havre" || password != "right" {
			return errors.New("wrong password")
		}
		s.l.user = user
		return nil
	}), nil
}
func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.l.from = from; return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.l.to = append(s.l.to, to)
	return nil
}
func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	if s.o.refuse > 0 {
		s.o.refuse--
		return &smtp.SMTPError{Code: 451, Message: "later"}
	}
	s.l.text = string(text)
	s.o.letters = append(s.o.letters, s.l)
	return nil
}
func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// openOffice starts one; secure says whether it has STARTTLS.
func openOffice(t *testing.T, secure bool) *postOffice {
	t.Helper()
	dir := t.TempDir()
	o := &postOffice{ca: filepath.Join(dir, "root.pem")}
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{o: o}, nil }))
	srv.Domain, srv.ReadTimeout, srv.WriteTimeout = "localhost", 10*time.Second, 10*time.Second
	srv.AllowInsecureAuth = !secure
	if secure {
		a, err := cert.Open(dir, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := a.Leaf([]string{"localhost"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair([]byte(leaf.Chain), []byte(leaf.Key.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		write(t, o.ca, a.RootPEM())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	o.addr = "localhost:" + port
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return o
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// call is a request that a webhook's receiver got.
type call struct {
	header http.Header
	body   []byte
}

// receiver is a real HTTP server that takes webhooks; fail is how many it does
// not take first.
type receiver struct {
	url string

	mu    sync.Mutex // guards what follows
	calls []call
	fail  int
}

func (r *receiver) taken() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call{}, r.calls...)
}

func openReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if q.URL.Path == "/away" {
			http.Redirect(w, q, "/", http.StatusFound)
			return
		}
		if r.fail > 0 {
			r.fail--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.calls = append(r.calls, call{q.Header, body})
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}
