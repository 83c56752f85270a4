package docker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A newer program replaces every process of Havre; who is connected notices nothing.
func TestHavreIsReplacedUnderLoadAndFailsNobody(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.apply(t, "upgrade", fmt.Sprintf(switched, "v1", 18039, 1, "upgrade.test"))
	l := newLoad(t, h)
	l.host, l.port, l.parts = "upgrade.test", 18039, true
	l.everything()
	for n := range long(1, 5) {
		before := map[string]int{}
		for _, role := range []string{"guard", "server", "ingress"} {
			before[role] = h.pid(t, role)
		}
		next := filepath.Join(filepath.Dir(h.data), fmt.Sprint("havre-", n))
		text, err := os.ReadFile(h.bin)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(next, text, 0o755); err != nil {
			t.Fatal(err)
		}
		h.bin = next
		h.must(t, "up", "--detach", "--data", h.data)
		for role, pid := range before { // up came back only now
			if h.pid(t, role) == pid {
				t.Errorf("upgrade %d: the %s is the same", n, role)
			}
		}
		h.must(t, "ps")
		h.healthy(t, "upgrade.web")
	}
	l.end(t)
}
