package role_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// status is a line of /proc/PID/status (proc(5)).
func status(t *testing.T, pid int, key string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("process %d has no %s", pid, key)
	return ""
}

// Whoever breaks into the server or the ingress finds no program that would
// give them more: of a setuid one they gain nothing.
func TestServerAndIngressGainNoRights(t *testing.T) {
	l, root := rooted(t)
	if !root {
		return
	}
	before := status(t, os.Getpid(), "CapBnd")
	for name, caps := range map[string]string{"server": "0000000000000000", "ingress": "0000000000000400"} {
		p := unprivileged(t, l, name)
		keepLog(t, l, name)
		logged(t, l, name, "ready")
		for key, want := range map[string]string{"NoNewPrivs": "1", "CapBnd": caps, "CapEff": caps, "CapPrm": caps, "CapAmb": caps} {
			if got := status(t, p.Pid(), key); got != want {
				t.Errorf("%s: %s is %s; want %s", name, key, got, want)
			}
		}
	}
	// The supervisor has what it had: the guard is started with all of it.
	p := spawned(t, l, "guard")
	if got := status(t, p.Pid(), "CapBnd"); got != before {
		t.Errorf("guard: CapBnd is %s; want %s", got, before)
	}
}
