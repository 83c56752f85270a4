package docker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"havre/internal/api"
	"havre/internal/lab"
)

// small puts a file system of some MiB in the place of a directory.
func small(t *testing.T, dir string, mib int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("havre-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=711", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // what runs on it ends after this
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// fill takes all of a directory's file system but so many bytes.
func fill(t *testing.T, dir string, left uint64) (empty func()) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "filler")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if free := st.Bavail * uint64(st.Bsize); free > left {
		if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(free-left)); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
}

// At 95 % nothing new is begun, at 100 % nothing can be written; what runs goes
// on, what was acknowledged stays, and with room everything is possible again.
func TestFullDiskHarmsNothing(t *testing.T) {
	t.Parallel()
	w := lab.Engine(t)
	small(t, filepath.Join(w.Dir, "havre"), 64)
	h := start(t, w, w.Dir)
	h.work = t.TempDir()
	h.apply(t, "tight", fmt.Sprintf(web, "v1", 18130, 1))
	next := h.write(t, "tight/next.yml", fmt.Sprintf(web, "v2", 18130, 1))

	empty := fill(t, h.data, 2<<20)
	r := h.run(t, "apply", "-f", next, "-p", "tight", "--yes")
	if r.code != 1 {
		t.Errorf("apply: exit code %d, want 1", r.code)
	}
	has(t, "apply", r.errs, "% full", h.data, "du -xh")
	h.fault(t, "disk", "of the disk")
	task, _ := h.container(t, "tight.web")
	h.world.Docker(t, "kill", task.Container)
	h.kill(t, "server")
	h.serves(t, "v1")
	empty()

	empty = fill(t, h.data, 0)
	r = h.run(t, "stop", "tight.web")
	if r.code != 1 {
		t.Errorf("stop: exit code %d, want 1: %s%s", r.code, r.out, r.errs)
	}
	has(t, "stop", r.errs, "disk", "full", "havre doctor")
	r = h.run(t, "apply", "-f", next, "-p", "tight", "--yes")
	if r.code != 1 {
		t.Errorf("apply: exit code %d, want 1", r.code)
	}
	has(t, "apply without any room", r.errs, "100 % full", h.data, "make room", "du -xh")
	h.serves(t, "v1")
	kept := h.read(t, "ingress/table.json")
	gone := h.running(t, "tight.web")
	h.world.Docker(t, "kill", gone) // the next one has another address
	h.answers(t, "http://127.0.0.1:18130/", "v1")
	if now := h.read(t, "ingress/table.json"); now != kept {
		t.Errorf("without room the kept table has become\n%s", now)
	}
	empty()

	eventually(t, func() string { // nobody asks for it
		if id := h.running(t, "tight.web"); id == gone || !strings.Contains(h.read(t, "ingress/table.json"), id) {
			return "the ingress does not keep the table of now, with " + id
		}
		return ""
	})
	h.kill(t, "server")
	h.kill(t, "ingress")
	h.serves(t, "v1")
	h.must(t, "apply", "-f", next, "-p", "tight", "--yes")
	h.serves(t, "v2")
}

// running is the container of a service that runs, "" when none does.
func (h *havre) running(t *testing.T, name string) string {
	t.Helper()
	s, err := h.service(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(s.Tasks, func(task api.Task) bool { return task.State == "running" }); i >= 0 {
		return s.Tasks[i].Container
	}
	return ""
}

// serves wants a service to answer, and all that reads to work.
func (h *havre) serves(t *testing.T, version string) {
	t.Helper()
	h.answers(t, "http://127.0.0.1:18130/", version)
	h.must(t, "ps")
	h.must(t, "logs", "tight.web")
	h.healthy(t, "tight.web")
	h.must(t, "why", "tight.web")
}
