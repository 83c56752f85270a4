package guard_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"havre/internal/guard"
	"havre/internal/lab"
)

// alone runs f in a network namespace of its own, whose filters nobody sees.
func alone(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	lab.Need(t, "docker") // which needs root and iptables too
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		f(t)
	}()
	<-done
}

func list(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("iptables", append([]string{"-w", "5", "-S"}, args...)...).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("iptables", append([]string{"-w", "5"}, args...)...).CombinedOutput(); err != nil {
		t.Errorf("iptables %v: %v: %s", args, err, out)
	}
}

func firewalled(t *testing.T) *guard.Guard {
	t.Helper()
	dir := directory(t)
	g, err := guard.New(guard.Settings{Dir: dir, Socket: dir + "/sock", Owner: uint32(os.Getuid())})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestContainersCannotReachTheSwarmsPorts(t *testing.T) {
	g := firewalled(t)
	alone(t, func(t *testing.T) {
		run(t, "-N", "DOCKER-USER")
		for range 2 { // twice is once
			if err := g.Protect(t.Context()); err != nil {
				t.Error(err)
			}
		}
		rules := list(t, "HAVRE-INPUT")
		for _, want := range []string{
			"-i docker_gwbridge -p udp -m udp --dport 4789 -j DROP", "-i br-+ -p tcp -m tcp --dport 2377 -j DROP",
			"-i docker0 -p udp -m udp --dport 7946 -j DROP", "-i docker0 -p tcp -m tcp --dport 7946 -j DROP",
		} {
			if strings.Count(rules, want) != 1 {
				t.Errorf("%q stands %d times in\n%s", want, strings.Count(rules, want), rules)
			}
		}
		if got := list(t, "DOCKER-USER"); !strings.Contains(got, "-j HAVRE-FORWARD") {
			t.Errorf("forwarded traffic is not looked at: %s", got)
		}
	})
}

func TestRulesThatSomebodyMovedComeBackFirst(t *testing.T) {
	g := firewalled(t)
	alone(t, func(t *testing.T) {
		if err := g.Protect(t.Context()); err != nil {
			t.Error(err)
		}
		run(t, "-I", "INPUT", "1", "-j", "ACCEPT")
		run(t, "-D", "HAVRE-INPUT", "-i", "docker0", "-p", "tcp", "-m", "tcp", "--dport", "2377", "-j", "DROP")
		run(t, "-A", "HAVRE-INPUT", "-p", "icmp", "-j", "DROP")
		if err := g.Protect(t.Context()); err != nil {
			t.Error(err)
		}
		lines := strings.Split(list(t, "INPUT"), "\n")
		if len(lines) < 3 || lines[1] != "-A INPUT -j HAVRE-INPUT" || strings.Count(strings.Join(lines, "\n"), "HAVRE-INPUT") != 1 {
			t.Errorf("INPUT is %q", lines)
		}
		if got := list(t, "HAVRE-INPUT"); !strings.Contains(got, "-i docker0 -p tcp -m tcp --dport 2377") || strings.Contains(got, "icmp") {
			t.Errorf("HAVRE-INPUT is %s", got)
		}
		if err := g.Unprotect(t.Context()); err != nil {
			t.Error(err)
		}
		if got := list(t); strings.Contains(got, "HAVRE") {
			t.Errorf("left behind: %s", got)
		}
	})
}
