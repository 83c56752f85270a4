package portal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/portal"
	"havre/internal/portal/portaltest"
	"havre/internal/problem"
)

// odd is a portal that does with each caller what the test wants.
func odd(t *testing.T, serve func(*net.UnixConn)) (socket string) {
	t.Helper()
	socket = filepath.Join(socketDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		accept(l, func(c net.Conn) {
			c.Read(make([]byte, 4096))
			serve(c.(*net.UnixConn))
		})
	})
	t.Cleanup(func() {
		l.Close()
		served.Wait()
	})
	return socket
}

// sockets are two ends of a TCP connection, as descriptors.
func sockets(t *testing.T) (here, there *os.File, target portal.Target) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	return file(t, out), file(t, in), portal.Target{Container: portaltest.ID("x"), Address: at.Addr(), Port: at.Port()}
}

func file(t *testing.T, c any) *os.File {
	t.Helper()
	f, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func send(c *net.UnixConn, line string, files ...*os.File) {
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	c.WriteMsgUnix([]byte(line), syscall.UnixRights(fds...), nil)
}

const ok = "{\"ok\":true}\n"

func TestSocketIsUsableAndCloseOnExec(t *testing.T) {
	here, there, target := sockets(t)
	c, err := portal.Dial(t.Context(), odd(t, func(c *net.UnixConn) { send(c, ok, here) }), target)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags = %x, %v; want close-on-exec", flags, err)
		}
	})
	if _, err := io.WriteString(c, "ahoy"); err != nil {
		t.Error(err)
	}
	heard := make([]byte, 4)
	if _, err := io.ReadFull(there, heard); err != nil || string(heard) != "ahoy" {
		t.Errorf("heard %q, %v", heard, err)
	}
}

func TestOddAnswersAreRefusedAndNothingLeaks(t *testing.T) {
	here, there, target := sockets(t)
	_, elsewhere, _ := sockets(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	udp, err := net.Dial("udp4", target.Address.String()+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	listening, datagrams := file(t, listener), file(t, udp)
	many := make([]*os.File, 253)
	for i := range many {
		many[i] = here
	}

	for name, serve := range map[string]func(*net.UnixConn){
		"nothing at all":          func(*net.UnixConn) {},
		"ok without a descriptor": func(c *net.UnixConn) { send(c, ok) },
		"two descriptors":         func(c *net.UnixConn) { send(c, ok, here, there) },
		"as many as there can be": func(c *net.UnixConn) { send(c, ok, many...) },
		"two messages":            func(c *net.UnixConn) { send(c, ok[:3], here); send(c, ok[3:], there) },
		"one with a no":           func(c *net.UnixConn) { send(c, "{\"ok\":false,\"kind\":\"odd\"}\n", here) },
		"one and no whole line":   func(c *net.UnixConn) { send(c, "{\"ok\":true}", here) },
		"no JSON":                 func(c *net.UnixConn) { send(c, "ok\n", here) },
		"ok of a wrong type":      func(c *net.UnixConn) { send(c, "{\"ok\":1}\n", here) },
		"an endless line":         func(c *net.UnixConn) { send(c, strings.Repeat(" ", 1<<16), here) },
		"a file":                  func(c *net.UnixConn) { send(c, ok, null) },
		"a datagram socket":       func(c *net.UnixConn) { send(c, ok, datagrams) },
		"a listener":              func(c *net.UnixConn) { send(c, ok, listening) },
		"the other end":           func(c *net.UnixConn) { send(c, ok, there) },
		"a connection to another": func(c *net.UnixConn) { send(c, ok, elsewhere) },
		"a unix socket": func(c *net.UnixConn) {
			if f, err := c.File(); err == nil {
				send(c, ok, f)
				f.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			socket := odd(t, serve)
			before := socketsOpen(t)
			c, err := portal.Dial(t.Context(), socket, target)
			if err == nil {
				c.Close()
				t.Fatal("got a connection")
			}
			if problem.KindOf(err) != problem.Unavailable {
				t.Errorf("err = %v of kind %s; want unavailable", err, problem.KindOf(err))
			}
			eventually(t, "all descriptors to be closed", func() error {
				if now := socketsOpen(t); now > before {
					return fmt.Errorf("%d, and %d before", now, before)
				}
				return nil
			})
		})
	}
}

// socketsOpen counts what this process has open.
func socketsOpen(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestRefusalsBecomeProblems(t *testing.T) {
	for kind, want := range map[string]problem.Kind{
		portal.BadRequest: problem.Invalid,
		portal.Busy:       problem.Busy,
		portal.Unknown:    problem.Unavailable,
		portal.Mismatch:   problem.Unavailable,
		portal.Refused:    problem.Unavailable,
		portal.Timeout:    problem.Unavailable,
		"of tomorrow":     problem.Unavailable,
	} {
		socket := odd(t, func(c *net.UnixConn) { send(c, `{"ok":false,"kind":"`+kind+`","says":"so"}`+"\n") })
		_, err := portal.Dial(t.Context(), socket, portal.Target{Container: portaltest.ID("x"), Address: netip.MustParseAddr("10.0.0.1"), Port: 25})
		var no *portal.Refusal
		if !errors.As(err, &no) || no.Kind != kind || no.Says != "so" || problem.KindOf(err) != want {
			t.Errorf("%s became %v of kind %s; want %s", kind, err, problem.KindOf(err), want)
		}
		if want := "connect to 10.0.0.1:25 (container "; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("err = %q; want it to begin with %q", err, want)
		}
	}
}

func TestMissingPortalIsUnavailableWithARemedy(t *testing.T) {
	_, err := portal.Dial(t.Context(), filepath.Join(t.TempDir(), "none"), portal.Target{})
	if p := problem.Of(err); p.Kind != problem.Unavailable || p.Remedy == "" {
		t.Errorf("problem = %+v", p)
	}
}

func TestPortalThatLeavesIsAskedOnceMore(t *testing.T) {
	here, _, target := sockets(t)
	left := make(chan struct{}, 1)
	socket := odd(t, func(c *net.UnixConn) {
		select {
		case left <- struct{}{}: // the first one hears nothing
		default:
			send(c, ok, here)
		}
	})
	c, err := portal.Dial(t.Context(), socket, target)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestBusyPortalNeedNotListen(t *testing.T) {
	socket := filepath.Join(socketDir(t), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go accept(l, func(c net.Conn) { io.WriteString(c, `{"ok":false,"kind":"busy","says":"so"}`+"\n") })
	for range 50 { // whether the caller can still write is a race, its answer isn't
		if _, err := portal.Dial(t.Context(), socket, portal.Target{}); problem.KindOf(err) != problem.Busy {
			t.Fatalf("err = %v; want busy", err)
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	socket := odd(t, func(*net.UnixConn) { <-hold })

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := portal.Dial(ctx, socket, portal.Target{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v; want the deadline's", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := portal.Dial(ctx, socket, portal.Target{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v; want the cancellation's", err)
	}
}
