package role_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/problem"
	"havre/internal/role"
)

// TestMain lets the test's program be the roles, too: "stubborn" does not stop
// when it is asked to.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		printing(os.Args[2])
		fmt.Println("ready")
		for <-stop; os.Args[2] == "stubborn"; <-stop {
			fmt.Println("no")
		}
		return
	}
	os.Exit(m.Run())
}

func self(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// spawned is a role of the test's own, which is gone when the test is.
func spawned(t *testing.T, l role.Layout, name string) role.Process {
	t.Helper()
	p, err := role.Spawn(l, name, self(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-p.Done():
		default:
			_ = syscall.Kill(p.Pid(), syscall.SIGKILL) // it may just have ended
			<-p.Done()
		}
	})
	eventually(t, "the role to be ready", func() bool {
		text, _ := os.ReadFile(l.Log(name))
		return strings.Contains(string(text), "ready")
	})
	return p
}

// eventually asks for ten seconds at most.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	end := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func TestRoleIsFoundAgainWhileItRuns(t *testing.T) {
	l := layout(t)
	if pid := l.Running("guard"); pid != 0 {
		t.Errorf("before it started it is %d", pid)
	}
	p := spawned(t, l, "guard")
	if pid := l.Running("guard"); pid != p.Pid() {
		t.Errorf("found %d; want %d", pid, p.Pid())
	}
	q, ok := role.Adopt(l, "guard", self(t))
	if !ok || q.Pid() != p.Pid() {
		t.Fatalf("it is not adopted: %v", ok)
	}
	q.Stop(10 * time.Second)
	<-p.Done()
	<-q.Done()
	if pid := l.Running("guard"); pid != 0 {
		t.Errorf("after it ended it is %d", pid)
	}
	if _, ok := role.Adopt(l, "guard", self(t)); ok {
		t.Error("a dead one is adopted")
	}
}

func TestStubbornRoleIsKilled(t *testing.T) {
	p := spawned(t, layout(t), "stubborn")
	p.Stop(50 * time.Millisecond)
	<-p.Done()          // it ends in no other way
	p.Stop(time.Second) // it is gone; that is no mistake
}

// A pid that came again is another program's: it must not be ended for ours.
func TestPidOfAnotherIsNotOurs(t *testing.T) {
	l := layout(t)
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill() // it may have ended
		_ = other.Wait()         // by our signal
	})
	write(t, l.Pid("guard"), fmt.Sprintf("%d 12345\n", other.Process.Pid))
	if pid := l.Running("guard"); pid != 0 {
		t.Errorf("another's process %d is taken for ours", pid)
	}
	for _, text := range []string{"", "x y\n", "1\n", strconv.Itoa(other.Process.Pid), "-1 0\n", "99999999 1\n"} {
		write(t, l.Pid("guard"), text)
		if pid := l.Running("guard"); pid != 0 {
			t.Errorf("%q is %d", text, pid)
		}
	}
}

func TestRoleOfAnotherProgramIsReplaced(t *testing.T) {
	l := layout(t)
	p := spawned(t, l, "guard")
	if _, ok := role.Adopt(l, "guard", "/usr/bin/havre-of-tomorrow"); ok {
		t.Error("it is adopted")
	}
	<-p.Done() // so that the new one can take its place
}

func TestDeadChildIsNotRunning(t *testing.T) {
	l := layout(t)
	c := exec.Command(self(t), "serve", "guard")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Remember("guard", c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the zombie not to count", func() bool { return l.Running("guard") == 0 }) // nobody has waited for it
	_ = c.Wait()                                                                             // killed, as it should
	if err := l.Remember("guard", c.Process.Pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a process that is gone is remembered: %v", err)
	}
}

func TestWatchTellsTheEndOfWhatIsNoChild(t *testing.T) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p, ok := role.Watch(c.Process.Pid)
	if !ok {
		t.Fatal("it cannot be watched")
	}
	select {
	case <-p.Done():
		t.Error("it has ended, and it has not")
	default:
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // killed, as it should
	<-p.Done()
	for _, pid := range []int{0, -1, c.Process.Pid} {
		if _, ok := role.Watch(pid); ok {
			t.Errorf("%d is watched", pid)
		}
	}
}

func TestOneSupervisorAtATime(t *testing.T) {
	l := layout(t)
	first, err := l.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Lock(); problem.KindOf(err) != problem.Busy {
		t.Errorf("the second: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := l.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestLongLogKeepsItsOlderPartApart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "up.log")
	write(t, file, "short")
	role.TrimLog(file)
	if text, err := os.ReadFile(file); err != nil || string(text) != "short" {
		t.Errorf("a short one became %q, %v", text, err)
	}
	long := bytes.Repeat([]byte("x"), 11<<20)
	write(t, file, string(long))
	role.TrimLog(file)
	now, err := os.ReadFile(file)
	old, oerr := os.ReadFile(file + ".1")
	if err != nil || oerr != nil || len(now) != 0 || len(old) != len(long) {
		t.Errorf("%d now, %d before, %v, %v", len(now), len(old), err, oerr)
	}
	role.TrimLog(filepath.Join(t.TempDir(), "none")) // no file, no trouble
}

// The old ones may still answer when the new supervisor is there.
func TestSettledMeansThatNewRolesAnswer(t *testing.T) {
	l := layout(t)
	settled := func(why string) {
		t.Helper()
		if err := l.Settled(); why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
			t.Errorf("%v; want %q", err, why)
		}
	}
	settled("the supervisor starts")
	if err := l.Remember("up", os.Getpid()); err != nil {
		t.Fatal(err)
	}
	settled("the guard starts")
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill() // it may have ended
		_ = other.Wait()         // by our signal
	})
	if err := l.Remember("guard", other.Process.Pid); err != nil {
		t.Fatal(err)
	}
	settled("the guard of another program still runs")
	for _, name := range []string{"guard", "server", "ingress"} {
		if err := l.Remember(name, os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	settled("the ingress takes over")
	if err := os.Mkdir(filepath.Dir(l.IngressSocket()), 0o700); err != nil {
		t.Fatal(err)
	}
	heirs, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: ingress.HeirSocket(l.IngressSocket()), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer heirs.Close()
	settled("")
	if err := l.Remember("ingress", other.Process.Pid); err != nil {
		t.Fatal(err)
	}
	settled("the ingress of another program still runs")
}
