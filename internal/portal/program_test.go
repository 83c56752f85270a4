package portal_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"havre/internal/portal"
	"havre/internal/portal/portaltest"
)

// open puts the real program into a network of its own, with three echoes.
func open(t testing.TB) (portaltest.World, *namespace, int) {
	t.Helper()
	n := newNamespace(t)
	target := func(name string, at ...string) portal.Target {
		var all []netip.Addr
		for _, a := range at {
			all = append(all, netip.MustParseAddr(a))
		}
		n.place(portaltest.ID(name), all...)
		n.echo(t, at[0]+":7")
		return portal.Target{Container: portaltest.ID(name), Address: all[0], Port: 7}
	}
	w := portaltest.World{
		Socket: filepath.Join(socketDir(t), "portal.sock"),
		Echo:   target("echo", "10.87.0.2"),
		Other:  target("other", "10.87.0.3"),
		Double: target("double", "10.87.0.4", "10.87.0.3"),
	}
	pid := n.start(t, w.Socket).Process.Pid
	listening(t, w.Socket)
	return w, n, pid
}

func listening(t testing.TB, socket string) {
	t.Helper()
	eventually(t, "the portal to listen", func() error {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err
	})
}

func TestProgramIsAPortal(t *testing.T) {
	w, _, _ := open(t)
	portaltest.RunPortal(t, func(*testing.T) portaltest.World { return w })
}

// For how few milliseconds an answer counts is held by the portal's own tests.
func TestAnswersAreNotRemembered(t *testing.T) {
	w, n, _ := open(t)
	portaltest.Talk(t, w.Socket, w.Echo)
	n.place(w.Echo.Container, w.Other.Address)
	eventually(t, "the answer to be forgotten", func() error {
		c, err := portal.Dial(t.Context(), w.Socket, w.Echo)
		if err == nil {
			c.Close()
			return errors.New("it counts still")
		}
		return nil
	})
	portaltest.Refused(t, w.Socket, w.Echo, portal.Mismatch)
}

func TestSocketIsForOwnerAndGroupOnly(t *testing.T) {
	w, _, _ := open(t)
	info, err := os.Stat(w.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("mode = %v; want a socket with 0660", info.Mode())
	}
}

func TestNewPortalTakesOverFromTheOld(t *testing.T) {
	w, n, old := open(t)
	kept, err := portal.Dial(t.Context(), w.Socket, w.Echo)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	before, err := os.Stat(w.Socket)
	if err != nil {
		t.Fatal(err)
	}

	n.start(t, w.Socket)
	eventually(t, "the new portal's socket", func() error {
		after, err := os.Stat(w.Socket)
		if err == nil && os.SameFile(before, after) {
			err = fmt.Errorf("still the old one")
		}
		return err
	})
	portaltest.Talk(t, w.Socket, w.Echo)
	end(t, old)
	portaltest.Talk(t, w.Socket, w.Echo)
	if _, err := kept.Write([]byte("ahoy")); err != nil {
		t.Errorf("a socket handed over earlier: %v", err)
	}
	if left, _ := filepath.Glob(w.Socket + ".*"); len(left) != 1 {
		t.Errorf("left behind: %v; want the new one's mark", left)
	}
}

func TestReplacedPortalEndsWithItsLastConnection(t *testing.T) {
	t.Parallel()
	for _, udp := range []bool{false, true} {
		w, n, _ := open(t)
		socket := filepath.Join(socketDir(t), "portal.sock")
		old := n.start(t, socket)
		listening(t, socket)
		to := w.Echo
		to.UDP = udp
		kept, err := portal.Dial(t.Context(), socket, to)
		if err != nil {
			t.Fatal(err)
		}
		n.start(t, socket)
		eventually(t, "the old portal to take nobody more", func() error {
			if n := socketsOf(t, old.Process.Pid); n > 0 {
				return fmt.Errorf("it has %d sockets", n)
			}
			return nil
		})
		answer := make([]byte, 4)
		if _, err := kept.Write([]byte("ahoy")); err != nil {
			t.Errorf("a socket handed over by the old one: %v", err)
		}
		if _, err := kept.Read(answer); err != nil || string(answer) != "ahoy" {
			t.Errorf("it answers %q, %v", answer, err)
		}
		if err := syscall.Kill(old.Process.Pid, 0); err != nil || zombie(old.Process.Pid) {
			t.Error("the old portal ended before its connection")
		}
		kept.Close()
		if err := old.Wait(); err != nil {
			t.Errorf("the old portal ended with %v; the engine would start it again", err)
		}
		portaltest.Talk(t, socket, w.Echo)
	}
}

// socketsOf counts those that a process has open.
func socketsOf(t *testing.T, pid int) (n int) {
	t.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func zombie(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || strings.Contains(string(status), "State:\tZ")
}

func TestPortalStartsOverAStaleSocket(t *testing.T) {
	w, n, pid := open(t)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody to listen", func() error {
		if c, err := net.Dial("unix", w.Socket); err == nil {
			c.Close()
			return fmt.Errorf("somebody does")
		}
		return nil
	})
	n.start(t, w.Socket)
	listening(t, w.Socket)
	portaltest.Talk(t, w.Socket, w.Echo)
}

// end asks a portal to stop, and waits until its process is a zombie: its
// parent, this test, collects it later.
func end(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the portal to end", func() error {
		if zombie(pid) {
			return nil
		}
		return fmt.Errorf("it goes on")
	})
}

func TestPortalEndsWhenAsked(t *testing.T) {
	t.Parallel()
	n := newNamespace(t)
	socket := filepath.Join(socketDir(t), "portal.sock")
	cmd := n.start(t, socket)
	listening(t, socket)
	idle, err := net.Dial("unix", socket) // who says nothing must not hold it up; for how long it may, the portal's own tests hold
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The engine starts again, after it was away, what did not end well.
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v; want exit code 1", err)
	}
}

func TestPortalStaysWithinEightMebibytes(t *testing.T) {
	w, _, pid := open(t)
	for range 4 {
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() { portaltest.Talk(t, w.Socket, w.Echo) })
		}
		all.Wait()
	}
	checkResident(t, pid)
}

// checkResident holds a process to the 8 MiB that a portal may have.
func checkResident(t *testing.T, pid int) {
	t.Helper()
	for _, what := range []string{"VmRSS", "VmHWM"} {
		kib := statusField(t, pid, what)
		t.Logf("%s %d KiB", what, kib)
		if kib > 8<<10 {
			t.Errorf("%s is %d KiB; want at most 8 MiB", what, kib)
		}
	}
}

func statusField(t *testing.T, pid int, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in the status of %d", name, pid)
	return 0
}

func BenchmarkDial(b *testing.B) {
	w, _, _ := open(b)
	for b.Loop() {
		c, err := portal.Dial(b.Context(), w.Socket, w.Echo)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

func TestPortalStaysSmallWhileAllItsPlacesAreTaken(t *testing.T) {
	t.Parallel()
	w, n, pid := open(t)
	var all sync.WaitGroup
	for i := range 8 {
		deaf := n.deaf(t, fmt.Sprintf("10.87.1.%d:9", i+1))
		for range 16 {
			all.Go(func() {
				if c, err := portal.Dial(t.Context(), w.Socket, deaf); err == nil {
					c.Close()
					t.Error("got a connection to a deaf container")
				}
			})
		}
	}
	all.Wait()
	checkResident(t, pid)
}

func TestDeafContainerLeavesPlacesForOthers(t *testing.T) {
	t.Parallel()
	w, n, _ := open(t)
	deaf := n.deaf(t, "10.87.1.1:9")
	kinds := make(chan string, 200)
	var all sync.WaitGroup
	for range cap(kinds) {
		all.Go(func() {
			_, err := portal.Dial(t.Context(), w.Socket, deaf)
			var no *portal.Refusal
			if errors.As(err, &no) {
				kinds <- no.Kind
			}
		})
	}
	if kind := <-kinds; kind != portal.Busy {
		t.Errorf("the first refusal is %q; want %q, once its places are taken", kind, portal.Busy)
	}
	portaltest.Talk(t, w.Socket, w.Echo)
	all.Wait()
	close(kinds)
	seen := map[string]int{}
	for k := range kinds {
		seen[k]++
	}
	if seen[portal.Timeout] != 16 {
		t.Errorf("answers = %v; want 16 of them %q", seen, portal.Timeout)
	}
}
