package server_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/client"
	"havre/internal/secret"
	"havre/internal/server"
	"havre/internal/server/servertest"
)

// world is a server that runs, with a fake behind it.
type world struct {
	fake   *servertest.Fake
	socket string // path
	tcp    string // host:port
	token  string
	log    *log
	stop   func() // and wait
}

// log is what the server logged.
type log struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open starts a server; change may alter its settings before.
func open(t *testing.T, change func(*server.Settings)) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "hs") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{fake: servertest.New(), socket: filepath.Join(dir, "s"), tcp: l.Addr().String(), token: "right-token", log: &log{}}
	set := server.Settings{
		Socket: w.socket, Listeners: []net.Listener{l}, Token: secret.New(w.token), Backend: w.fake.Backend(),
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&set)
		w.socket = set.Socket
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.New(set).Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	eventually(t, "the socket answers", func() bool {
		c, err := net.Dial("unix", w.socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return w
}

func (w *world) client(t *testing.T, url, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: url, Token: secret.New(token)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// caller has the token and comes over TCP.
func (w *world) caller(t *testing.T) *client.Client { return w.client(t, "http://"+w.tcp, w.token) }

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}
