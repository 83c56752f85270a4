package docker_test

import (
	"strings"
	"testing"
)

// No service was there before, and the reason is kept all the same.
func TestFirstPullThatFailsIsKept(t *testing.T) {
	t.Parallel()
	h := up(t)
	file := h.write(t, "barren/compose.yml", "services: {web: {image: '127.0.0.1:1/team/app:1'}}\n")
	h.removeLater(t, "barren")
	if r := h.run(t, "apply", "-f", file, "-p", "barren", "--yes"); r.code != 1 {
		t.Errorf("apply ends with %d: %s%s", r.code, r.out, r.errs)
	}
	const reason = "pull image 127.0.0.1:1/team/app:1"
	has(t, "why", h.must(t, "why", "barren.web"), "fails", reason, "apply again")
	has(t, "history", h.must(t, "history", "barren.web"), "failed", reason)
	has(t, "ps", h.must(t, "ps", "barren/"), "web", "failing")
	if r := h.run(t, "start", "barren.web"); r.code != 1 || !strings.Contains(r.errs, reason) {
		t.Errorf("start ends with %d: %s%s", r.code, r.out, r.errs)
	}
	h.apply(t, "barren", "services: {web: {image: 'app:1'}}\n")
	has(t, "history", h.must(t, "history", "barren.web"), "r2", "active", reason)
}
