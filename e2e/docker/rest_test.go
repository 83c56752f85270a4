package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"havre/internal/api"
	"havre/internal/lab"
)

// kill kills a role with signal 9 and waits until it is back.
func (h *havre) kill(t *testing.T, role string) {
	t.Helper()
	pid := h.pid(t, role)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, role+" to be back", func(ctx context.Context) error {
		if h.pid(t, role) == pid {
			return errors.New("not yet")
		}
		return h.command(ctx, "ps").Run()
	})
}

func (h *havre) why(t *testing.T, name string) (w api.Why) {
	t.Helper()
	if err := json.Unmarshal([]byte(h.must(t, "why", name, "-o", "json")), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

const crashing = "services: {s: {image: 'app:1', environment: {CRASH: '%s', PRINT: 'cannot open the ledger'}, ports: ['18120:8080']}}"

// Swarm starts what crashes for ever, after 10 ms. It must not: not through a
// kill of the server either; and it must be told.
func TestCrashLoopRestsAndSaysSo(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.write(t, filepath.Join(h.data, "config", "server.json"), `{"restFirst": "10m", "restMost": "10m"}`)
	h.kill(t, "server")
	h.applyBadly(t, "loop", fmt.Sprintf(crashing, "3"))
	h.whySays(t, "loop.s", "it ended badly", "the last time because it exited with code 3", "it rests and is tried again at", "cannot open the ledger", "crash as told", "havre restart prod.loop.s")
	gone := func(when string) {
		t.Helper()
		lab.Eventually(t, "no container to run or be wanted "+when, func(context.Context) error {
			wanted := h.world.Docker(t, "service", "ls", "--format", "{{.Replicas}}")
			runs := h.world.Docker(t, "ps", "-q", "--filter", "label=havre.kind=service")
			if strings.TrimSpace(wanted) != "0/0" || runs != "" {
				return fmt.Errorf("wanted: %s; running: %s", wanted, runs)
			}
			return nil
		})
	}
	gone("while it rests")
	before := h.why(t, "loop.s")
	if before.Trouble == nil || before.Trouble.Crashes < 5 || before.Trouble.Until.IsZero() {
		t.Fatalf("why says %+v", before)
	}
	h.kill(t, "server")
	gone("after a kill of the server")
	if after := h.why(t, "loop.s"); after.Trouble == nil || !after.Trouble.Until.Equal(before.Trouble.Until) || strings.Join(after.Lines, " ") != strings.Join(before.Lines, " ") {
		t.Errorf("before the kill of the server why says\n%+v %+v\nthen\n%+v %+v", before, before.Trouble, after, after.Trouble)
	}
	ps := h.run(t, "ps")
	has(t, "ps", ps.out+ps.errs, "failing", "it rests")
	h.apply(t, "loop", fmt.Sprintf(crashing, ""))
	h.answers(t, "http://127.0.0.1:18120/", "v1")
	if now := h.why(t, "loop.s"); now.State != "healthy" || now.Trouble != nil {
		t.Errorf("when it is mended why says %+v", now)
	}
}
