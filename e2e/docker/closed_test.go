package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/lab"
)

// Homes are for their owners alone on Debian 12, and a clone of this repository
// lies in one: the roles run as users who cannot go there.
func TestHavreStartsFromADirectoryOfItsOwnersAlone(t *testing.T) {
	t.Parallel()
	w := lab.Engine(t)
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(w.Dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(closed, "havre"), text, 0o700); err != nil {
		t.Fatal(err)
	}
	h := &havre{world: w, bin: filepath.Join(closed, "havre"), data: filepath.Join(w.Dir, "havre"), home: filepath.Join(w.Dir, "home"), work: t.TempDir()}
	if err := os.MkdirAll(h.home, 0o700); err != nil {
		t.Fatal(err)
	}
	r := h.run(t, "up", "--detach", "--data", h.data, "--engine", w.Socket)
	if has(t, "up of a program of its owner's alone", r.errs, "only its owner may run", "chmod 755 "+h.bin); r.code != 2 {
		t.Errorf("its exit code is %d", r.code)
	}
	if err := os.Chmod(h.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	h.hindered(t)
	h.must(t, "up", "--detach", "--data", h.data, "--engine", w.Socket)
	for _, role := range []string{"guard", "server", "ingress"} {
		if name := h.ofProcess(t, role, "comm"); name != "havre" {
			t.Errorf("the %s is called %q", role, name)
		}
	}
	before := h.pid(t, "server")
	h.kill(t, "server")
	h.recovers(t)
	if h.pid(t, "server") == before {
		t.Error("the server was not started again")
	}
}

// ofProcess reads a file of a role's process.
func (h *havre) ofProcess(t *testing.T, role, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strings.Fields(h.read(t, "run/pid/"+role))[0], file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// hindered has somebody else listen where Havre's API would be: up must say so,
// at once.
func (h *havre) hindered(t *testing.T) {
	t.Helper()
	held, err := h.world.Listen(t.Context(), "tcp", "127.0.0.1:7080")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	r := h.run(t, "up", "--detach", "--data", h.data, "--engine", h.world.Socket)
	if has(t, "up", r.errs, "127.0.0.1:7080", "is taken by "+filepath.Base(os.Args[0]), "havre up --detach --listen 127.0.0.1:7081"); r.code != 2 {
		t.Errorf("its exit code is %d", r.code)
	}
}
