package docker_test

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"havre/internal/lab"
)

const ranged = `
services:
  %s:
    image: app:1
    environment: {VERSION: %s, TCP: '7003,7004,7005'}
    ports: [%s]
`

// Ranges that overlap: each port that another service has is named, what is
// free is not, and nothing is made. A port of UDP is another one.
func TestRangesOfPortsThatOverlapAreRefusedPortByPort(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "game", fmt.Sprintf(ranged, "world", "v1", `"18703-18704:7003-7004"`))
	file := h.write(t, "rival.yml", fmt.Sprintf(ranged, "lobby", "v2", `"18702-18705:7002-7005"`))
	r := h.run(t, "apply", "-f", file, "-p", "rival", "--yes")
	if r.code != 2 {
		t.Errorf("exit code %d; want 2", r.code)
	}
	has(t, "the refusal", r.errs, "port 18703/tcp, which lobby wants, is taken by prod.game.world", "port 18704/tcp, which lobby wants, is taken by prod.game.world")
	if strings.Contains(r.errs, "18702") || strings.Contains(r.errs, "18705") || strings.Contains(h.must(t, "ps", "-o", "name"), "rival") {
		t.Errorf("free ports are told, or something was made:\n%s", r.errs)
	}
	h.apply(t, "rival", fmt.Sprintf(ranged, "lobby", "v2", `"18703-18704:7003-7004/udp", "18705:7005"`))
	h.greets(t, 18704, "v1")
	h.greets(t, 18705, "v2")
}

// greets waits until who answers at a TCP port says this version.
func (h *havre) greets(t *testing.T, port int, version string) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("port %d to greet", port), func(ctx context.Context) error {
		c, err := h.world.Dial(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, version+" ") {
			err = fmt.Errorf("it says %q", line)
		}
		return err
	})
}
