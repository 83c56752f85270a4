package portal_test

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"havre/internal/portal"
)

// liner is a portal that counts the lines to it, and gives on each as many
// answers as it was told to.
type liner struct {
	socket string
	lines  atomic.Int32
	served sync.WaitGroup
}

func newLiner(t *testing.T, socket string, answers int, here *os.File) *liner {
	t.Helper()
	l := &liner{socket: socket}
	mine := socket + ".new"
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: mine, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(mine, socket); err != nil {
		t.Fatal(err)
	}
	l.served.Go(func() {
		accept(listener, func(c net.Conn) {
			l.lines.Add(1)
			for range answers {
				if n, err := c.Read(make([]byte, 4096)); n == 0 || err != nil {
					return
				}
				send(c.(*net.UnixConn), ok, here)
			}
		})
	})
	t.Cleanup(func() {
		listener.Close()
		l.served.Wait()
	})
	return l
}

// dial wants a connection to target.
func dial(t *testing.T, d *portal.Dialer, socket string, target portal.Target) {
	t.Helper()
	c, err := d.Dial(t.Context(), socket, target)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestLineIsKeptForTheNextQuestion(t *testing.T) {
	here, _, target := sockets(t)
	p := newLiner(t, filepath.Join(socketDir(t), "s"), 1000, here)
	var d portal.Dialer
	for range 100 { // on a slow machine some may be too old
		dial(t, &d, p.socket, target)
	}
	if n := p.lines.Load(); n > 50 {
		t.Errorf("%d lines for 100 questions; want fewer", n)
	}
}

func TestPortalThatHangsUpAfterEachAnswerIsAskedAnew(t *testing.T) {
	here, _, target := sockets(t)
	p := newLiner(t, filepath.Join(socketDir(t), "s"), 1, here)
	var d portal.Dialer
	for range 20 {
		dial(t, &d, p.socket, target)
	}
	if n := p.lines.Load(); n != 20 {
		t.Errorf("%d lines; want 20", n)
	}
}

func TestNoLineIsUsedThatLeadsToAnOlderPortal(t *testing.T) {
	here, _, target := sockets(t)
	socket := filepath.Join(socketDir(t), "s")
	newLiner(t, socket, 1000, here)
	var d portal.Dialer
	dial(t, &d, socket, target)
	now := newLiner(t, socket, 1000, here)
	dial(t, &d, socket, target)
	if n := now.lines.Load(); n != 1 {
		t.Errorf("%d lines to the new one; want 1", n)
	}
}

func TestLinesThatNobodyUsesAreClosed(t *testing.T) {
	here, _, target := sockets(t)
	p := newLiner(t, filepath.Join(socketDir(t), "s"), 1000, here)
	before := socketsOpen(t)
	var d portal.Dialer
	dial(t, &d, p.socket, target)
	eventually(t, "the line to be closed", func() error {
		if now := socketsOpen(t); now > before {
			return os.ErrExist
		}
		return nil
	})
}
