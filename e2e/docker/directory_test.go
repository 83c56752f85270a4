package docker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const directories = `
services:
  web:
    image: app:1
    environment: {VERSION: %s, WRITE: /data/log}
    volumes:
      - ./data:/data
      - ./none/there:/none
      - ./conf:/conf:ro
      - ./conf/own.conf:/conf/sub/b.conf:ro
      - ./empty:/empty:ro
      - ./large:/large:ro
      - {type: bind, source: ./data, target: /also, read_only: true, bind: {}}
    read_only: %t
`

// The most used line of all Compose files is ./data:/data. It is kept data, and
// what is only read refuses to be written: what is written to it unseen is lost
// with the container.
func TestDirectoryIsKeptDataAndWhatIsOnlyReadRefusesToBeWritten(t *testing.T) {
	t.Parallel()
	h := up(t)
	file := h.write(t, "directories/compose.yml", fmt.Sprintf(directories, "v1", false))
	dir := filepath.Dir(file)
	h.write(t, "directories/data/sub/old", "from before")
	h.write(t, "directories/conf/a.conf", "a")
	h.write(t, "directories/conf/sub/b.conf", "b")
	h.write(t, "directories/conf/own.conf", "own")
	h.write(t, "directories/large/big", strings.Repeat("x", 1000*1024+1))
	for _, at := range []string{"empty", "data/kept empty"} {
		if err := os.MkdirAll(filepath.Join(dir, at), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sub/old", filepath.Join(dir, "data/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(dir, "data/sub/old"), 1234, 567); err != nil {
		t.Fatal(err)
	}
	has(t, "the plan", h.must(t, "plan", "-f", file), "fill    volume data with what ./data has: 2 files, 11 B", "fill    volume large with what ./large has: 1 files", "new volumes data, large, none_there")
	h.must(t, "apply", "-f", file, "--yes")
	inside := func(words ...string) string {
		t.Helper()
		return h.must(t, append([]string{"exec", "directories.web", "--", "/app"}, words...)...)
	}
	if got := inside("cat", "/data/sub/old", "/data/link", "/data/log", "/also/log"); got != "from beforefrom beforev1\nv1\n" {
		t.Errorf("the volume holds %q", got)
	}
	if got := inside("ls", "/data"); got != "kept empty\nlink\nlog\nsub\n" {
		t.Errorf("the volume lists %q", got)
	}
	if got := inside("cat", "/conf/a.conf", "/conf/sub/b.conf"); got != "aown" {
		t.Errorf("what is only read holds %q", got)
	}
	if got := inside("ls", "/empty") + inside("ls", "/none"); got != "" {
		t.Errorf("empty directories hold %q", got)
	}
	for _, at := range []string{"/conf/new", "/conf/a.conf", "/conf/sub/new", "/empty/new", "/also/new", "/large/new"} {
		if r := h.run(t, "exec", "directories.web", "--", "/app", "write", at, "x"); r.code != 1 || !containsFold(r.errs, "read-only file system") {
			t.Errorf("%s can be written: %+v", at, r)
		}
	}
	inside("write", "/none/new", "made inside")

	// What is kept outlives updates and what becomes of the directory.
	h.write(t, "directories/data/sub/old", "changed outside")
	h.write(t, "directories/compose.yml", fmt.Sprintf(directories, "v2", true))
	if plan := h.must(t, "apply", "-f", file, "--yes"); strings.Contains(plan, "fill ") {
		t.Errorf("it is filled again: %s", plan)
	}
	if got := inside("cat", "/data/sub/old", "/data/log", "/none/new"); got != "from beforev1\nv2\nmade inside\n" {
		t.Errorf("after an update the volumes hold %q", got)
	}
	for _, at := range []string{"/conf/new", "/empty/new"} {
		if r := h.run(t, "exec", "directories.web", "--", "/app", "write", at, "x"); r.code != 1 || !containsFold(r.errs, "read-only file system") {
			t.Errorf("%s can be written: %+v", at, r)
		}
	}
	has(t, "volume ls", h.must(t, "volume", "ls", "directories"), "directories/data", "directories/none_there", "directories/large")
	h.must(t, "cp", "directories/data:/sub", filepath.Join(dir, "out"), "-a")
	info, err := os.Stat(filepath.Join(dir, "out/old"))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 567 {
		t.Errorf("the owner is not kept: %d:%d", st.Uid, st.Gid)
	}
	if r := h.run(t, "scale", "directories.web=2"); r.code != 2 {
		t.Errorf("two may write to a directory: %+v", r)
	}
}
