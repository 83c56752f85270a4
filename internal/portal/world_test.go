package portal_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/lab"
	"havre/internal/portal"
	"havre/internal/portal/portaltest"
)

// needed tells whether HAVRE_NEED says that what must run here.
func needed(what string) bool {
	for _, w := range strings.Split(os.Getenv("HAVRE_NEED"), ",") {
		if strings.TrimSpace(w) == what {
			return true
		}
	}
	return false
}

// shared is the engine of the tests that need one.
var shared lab.Shared

// programs is where tests build programs.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "portal"); err != nil {
		log.Fatal(err)
	}
	code := shared.Main(m)
	os.RemoveAll(programs)
	os.Exit(code)
}

// builds makes each program once for all tests.
var builds sync.Map // package → func() error

// build compiles the program of a package as make does, and says where it is.
// It is not copied from there: a program can't be run while any process has
// it open for writing, even one that was forked a moment ago.
func build(t testing.TB, pkg string) (path string) {
	t.Helper()
	path = filepath.Join(programs, filepath.Base(pkg))
	once, _ := builds.LoadOrStore(pkg, sync.OnceValue(func() error {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stderr = os.Stderr
		return cmd.Run()
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatalf("build %s: %v", pkg, err)
	}
	return path
}

// bytesOf builds the program of a package and reads it.
func bytesOf(t testing.TB, pkg string) []byte {
	t.Helper()
	program, err := os.ReadFile(build(t, pkg))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// namespace is a network of its own, in which the real program finds at
// 127.0.0.11:53 what an engine would have put there.
type namespace struct {
	handle *os.File

	mu    sync.Mutex // guards hosts
	hosts map[string][]netip.Addr
}

// newNamespace makes a network where all of 127/8 and 10/8 is here, and
// nothing else exists.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	n := &namespace{hosts: map[string][]netip.Addr{}}
	var err error
	alone(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		if n.handle, err = os.Open("/proc/thread-self/ns/net"); err == nil {
			err = loopbackUp()
		}
	})
	if err != nil {
		if needed("docker") || needed("swarm") {
			t.Fatalf("a network namespace is needed: %v", err)
		}
		t.Skipf("no network namespace, which takes root: %v", err)
	}
	t.Cleanup(func() { n.handle.Close() })
	n.answerNames(t)
	return n
}

// alone runs f on a thread of its own, which ends with it.
func alone(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// in runs f inside the namespace: sockets opened and processes started by it
// belong there.
func (n *namespace) in(t testing.TB, f func() error) {
	t.Helper()
	var err error
	alone(func() {
		if err = unix.Setns(int(n.handle.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, _ := unix.NewIfreq("lo")
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return err
	}
	ten, _ := unix.NewIfreq("lo:1")
	ten.SetInet4Addr([]byte{10, 0, 0, 1}) // without a mask this is all of 10/8
	return unix.IoctlIfreq(s, unix.SIOCSIFADDR, ten)
}

// place says what the name service answers for a container.
func (n *namespace) place(container string, at ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[container[:12]+"."] = at
}

// echo serves TCP and UDP on address and port.
func (n *namespace) echo(t testing.TB, on string) {
	t.Helper()
	n.in(t, func() error {
		l, err := net.Listen("tcp4", on)
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go accept(l, func(c net.Conn) { io.Copy(c, c) })
		p, err := net.ListenPacket("udp4", on)
		if err != nil {
			return err
		}
		t.Cleanup(func() { p.Close() })
		go repeat(p)
		return nil
	})
}

// repeat gives back each datagram until p is closed.
func repeat(p net.PacketConn) {
	b := make([]byte, 2000)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil {
			return
		}
		p.WriteTo(b[:n], from)
	}
}

// accept serves until l is closed, and then waits for those it serves.
func accept(l net.Listener, serve func(net.Conn)) {
	var served sync.WaitGroup
	defer served.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		served.Go(func() {
			defer c.Close()
			serve(c)
		})
	}
}

// answerNames is the smallest name server: one question, A records.
func (n *namespace) answerNames(t testing.TB) {
	t.Helper()
	n.in(t, func() error {
		c, err := net.ListenPacket("udp4", "127.0.0.11:53")
		if err != nil {
			return err
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			q := make([]byte, 1500)
			for {
				size, from, err := c.ReadFrom(q)
				if err != nil {
					return
				}
				c.WriteTo(n.answer(q[:size]), from)
			}
		}()
		return nil
	})
}

func (n *namespace) answer(q []byte) []byte {
	name, end := "", 12
	for q[end] != 0 {
		name += string(q[end+1:end+1+int(q[end])]) + "."
		end += 1 + int(q[end])
	}
	end += 5 // the root, type and class
	n.mu.Lock()
	at, known := n.hosts[name]
	n.mu.Unlock()
	flags := uint16(0x8580)
	if !known {
		flags |= 3 // no such name
	}
	a := binary.BigEndian.AppendUint16(append([]byte{}, q[:2]...), flags)
	for _, count := range []int{1, len(at), 0, 0} {
		a = binary.BigEndian.AppendUint16(a, uint16(count))
	}
	a = append(a, q[12:end]...)
	for _, ip := range at {
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 0x58, 0, 4)
		a = append(a, ip.AsSlice()...)
	}
	return a
}

// start runs the portal program in the namespace until the test ends.
func (n *namespace) start(t testing.TB, socket string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(build(t, "havre/cmd/havre-portal"), "-socket", socket, "-callers", fmt.Sprint(os.Getuid()))
	cmd.Stderr = os.Stderr
	n.in(t, cmd.Start)
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// socketDir is a directory whose name is short enough to hold sockets.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "portal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// eventually asks until ask succeeds, and says what it waited for when it
// gives up. It may be used in a cleanup, when the test's own context is over.
func eventually(t testing.TB, what string, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var last error
	for ctx.Err() == nil {
		if last = ask(); last == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("waited in vain for %s: %v", what, last)
}

// deaf places a container that never accepts, and has its queue full: who
// connects gets no answer at all.
func (n *namespace) deaf(t testing.TB, on string) portal.Target {
	t.Helper()
	at := netip.MustParseAddrPort(on)
	n.in(t, func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(s) })
		if err := unix.Bind(s, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
			return err
		}
		if err := unix.Listen(s, 0); err != nil {
			return err
		}
		c, err := net.Dial("tcp4", on)
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	})
	to := portal.Target{Container: portaltest.ID(on), Address: at.Addr(), Port: at.Port()}
	n.place(to.Container, to.Address)
	return to
}
