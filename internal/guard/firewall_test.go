package guard_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
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

func firewalled(t *testing.T, change ...func(*guard.Bounds)) *guard.Guard {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := guard.DefaultBounds(dir+"/data", 1000, 1000)
	for _, do := range change {
		do(&b)
	}
	if err := guard.WriteBounds(dir, b); err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(guard.Settings{Dir: dir, Socket: dir + "/sock", Owner: uint32(os.Getuid())})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// has looks for a line in the rules of a chain, which stands there once or not
// at all.
func has(t *testing.T, want bool, line string, of ...string) {
	t.Helper()
	rules := list(t, of...)
	if n := strings.Count(rules, line+"\n"); n > 1 || (n == 1) != want {
		t.Errorf("%q stands %d times in\n%s", line, n, rules)
	}
}

// The engine takes its jumps out of FORWARD and puts them back whenever it
// makes a network. What is dropped must be dropped before.
func TestContainersCannotReachTheSwarmsPorts(t *testing.T) {
	g := firewalled(t)
	alone(t, func(t *testing.T) {
		for range 2 { // twice is once
			if err := g.Protect(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for _, line := range []string{
			"-i docker_gwbridge -p udp -m udp --dport 4789 -j DROP", "-i br-+ -p tcp -m tcp --dport 2377 -j DROP",
			"-i docker0 -p udp -m udp --dport 7946 -j DROP", "-i docker0 -p tcp -m tcp --dport 7946 -j DROP",
		} {
			has(t, true, line, "HAVRE-INPUT")
			has(t, true, line, "HAVRE-PREROUTING", "-t", "mangle")
		}
		has(t, true, "-A HAVRE-PREROUTING -d 10.87.0.0/16 -i docker_gwbridge -j DROP", "HAVRE-PREROUTING", "-t", "mangle")
		has(t, true, "-A INPUT -j HAVRE-INPUT", "INPUT")
		has(t, true, "-A PREROUTING -j HAVRE-PREROUTING", "PREROUTING", "-t", "mangle")
	})
}

func TestContainersCannotReachTheMetadataOfACloud(t *testing.T) {
	const line = "-A HAVRE-PREROUTING -d 169.254.0.0/16 -i docker_gwbridge -p tcp -m tcp ! --dport 53 -j DROP"
	g := firewalled(t)
	lifted := firewalled(t, func(b *guard.Bounds) { b.Metadata = true })
	alone(t, func(t *testing.T) {
		if err := g.Protect(t.Context()); err != nil {
			t.Error(err)
		}
		has(t, true, line, "HAVRE-PREROUTING", "-t", "mangle")
		has(t, true, strings.Replace(line, "docker_gwbridge", "docker0", 1), "HAVRE-PREROUTING", "-t", "mangle")
		if err := lifted.Protect(t.Context()); err != nil {
			t.Error(err)
		}
		has(t, false, line, "HAVRE-PREROUTING", "-t", "mangle")
	})
}

// The server names its ports when it starts. What it names no longer is open
// again, what the guard closes by itself never is, and a guard that starts anew
// goes on with what the one before it closed.
func TestServersPortsAreClosedAndNoOthers(t *testing.T) {
	g := firewalled(t)
	const head, tail = "-A HAVRE-INPUT -i docker0 -p tcp -m tcp --dport ", " -j DROP"
	alone(t, func(t *testing.T) {
		for _, ports := range [][]uint16{{7080, 7081}, {7082}, {}, {7083}} {
			if err := g.Close(t.Context(), ports); err != nil {
				t.Error(err)
			}
			for _, p := range []uint16{7080, 7081, 7082, 7083} {
				has(t, slices.Contains(ports, p), head+fmt.Sprint(p)+tail, "HAVRE-INPUT")
			}
			has(t, true, head+"2377"+tail, "HAVRE-INPUT")
		}
		if err := firewalled(t).Protect(t.Context()); err != nil {
			t.Error(err)
		}
		has(t, true, head+"7083"+tail, "HAVRE-INPUT")
		has(t, true, head+"2377"+tail, "HAVRE-INPUT")
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
	})
}

// A purge removes networks, which wakes who looks after the rules.
func TestPurgedRulesStayAway(t *testing.T) {
	g := firewalled(t)
	alone(t, func(t *testing.T) {
		run(t, "-N", "DOCKER-USER") // as a Havre before this one left it
		run(t, "-N", "HAVRE-FORWARD")
		run(t, "-A", "HAVRE-FORWARD", "-d", "10.87.0.0/16", "-j", "DROP")
		run(t, "-A", "DOCKER-USER", "-j", "HAVRE-FORWARD")
		if err := g.Protect(t.Context()); err != nil {
			t.Error(err)
		}
		if err := g.Unprotect(t.Context()); err != nil {
			t.Error(err)
		}
		if err := g.Protect(t.Context()); err != nil {
			t.Error(err)
		}
		for _, table := range []string{"filter", "mangle"} {
			if got := list(t, "-t", table); strings.Contains(got, "HAVRE") {
				t.Errorf("left behind: %s", got)
			}
		}
		if err := g.Close(t.Context(), []uint16{7080}); err != nil { // a server that starts afterwards
			t.Error(err)
		}
		has(t, true, "-A INPUT -j HAVRE-INPUT", "INPUT")
	})
}
