package docker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"havre/internal/api"
	"havre/internal/lab"
)

// visitors is a havre logs --access -f that runs.
type visitors struct {
	mu   sync.Mutex // guards what follows
	seen []api.Access
}

// follow reads the access log of a service until the test ends.
func (h *havre) follow(t *testing.T, name string) *visitors {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := h.command(ctx, "logs", "--access", "-f", "-o", "json", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v := &visitors{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a api.Access
			if json.Unmarshal(lines.Bytes(), &a) == nil {
				v.mu.Lock()
				v.seen = append(v.seen, a)
				v.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-read
		_ = cmd.Wait() // it was ended
	})
	return v
}

// has waits until n that were served were told, none of them twice.
func (v *visitors) has(t *testing.T, n int) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("the follower to have %d visitors", n), func(context.Context) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		served, seen := 0, map[string]bool{}
		for _, a := range v.seen {
			if key := a.Time.String() + a.ID; seen[key] {
				t.Errorf("told twice: %+v", a)
			} else if seen[key] = true; a.Out > 0 {
				served++
			}
		}
		if served != n {
			return fmt.Errorf("%d of %d: %+v", served, n, v.seen)
		}
		return nil
	})
}

// followsOverKills has a visitor before and after each kill.
func (h *havre) followsOverKills(t *testing.T, name, url, want string) {
	t.Helper()
	v := h.follow(t, name)
	served := 0
	for _, role := range []string{"", "ingress", "server"} {
		if role != "" {
			if err := syscall.Kill(h.pid(t, role), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			lab.Eventually(t, "the "+role+" to be back", func(ctx context.Context) error { return h.command(ctx, "status").Run() })
		}
		h.answers(t, url, want)
		served++
		v.has(t, served)
	}
}
