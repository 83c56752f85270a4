package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"havre/internal/lab"
)

// buildFilled makes an image as A||GO's are: directories below /vol that it
// does not declare, a user by name, and a program that fills its volumes.
func (h *havre) buildFilled(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(h.world.App(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	h.write(t, filepath.Join(dir, "passwd"), "root:x:0:0::/:\nallgo:x:1234:567::/:\n")
	h.write(t, filepath.Join(dir, "keep"), "")
	h.write(t, filepath.Join(dir, "Dockerfile"), `FROM scratch
COPY app /app
COPY app /dk/container_init
COPY passwd /etc/passwd
COPY keep /vol/rw/
COPY keep /vol/ro/
COPY keep /vol/cache/
COPY keep /vol/log/
USER allgo
ENTRYPOINT ["/app"]
`)
	h.must(t, "image", "build", "-t", name, dir)
}

const filled = `
services:
  web:
    image: %s
    environment: {%s}
`

func TestVolumesOfTheConventionsNeedNoDeclaration(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildFilled(t, "conventions:1")
	h.apply(t, "conv", fmt.Sprintf(filled, "conventions:1", "A: b"))
	out := h.must(t, "exec", "conv.web", "--", "/app", "cat", "/vol/rw/filled", "/vol/ro/given")
	if out != "begun\ndone\nby init\n" {
		t.Errorf("the init left %q", out)
	}
	if r := h.run(t, "exec", "conv.web", "--", "/app", "write", "/vol/ro/x", "x"); r.code != 1 || !containsFold(r.errs, "read-only") {
		t.Errorf("the service writes to /vol/ro: %+v", r)
	}
	for _, at := range []string{"rw", "cache", "log"} {
		if out := h.run(t, "exec", "conv.web", "--", "/app", "write", "/vol/"+at+"/x", "x"); out.code != 0 {
			t.Errorf("the service cannot write to /vol/%s: %s", at, out.errs)
		}
	}
	volumes, err := filepath.Glob(h.data + "/volume/prod/*/web.vol-*")
	if err != nil || len(volumes) < 4 {
		t.Fatalf("%q, %v", volumes, err)
	}
	for _, v := range volumes {
		info, err := os.Stat(v)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 567 {
			t.Errorf("%s belongs to %d:%d", v, st.Uid, st.Gid)
		}
	}
	// Another rollout does not fill them again.
	h.apply(t, "conv", fmt.Sprintf(filled, "conventions:1", "A: c"))
	if out := h.must(t, "exec", "conv.web", "--", "/app", "cat", "/vol/rw/filled"); out != "begun\ndone\n" {
		t.Errorf("after an update there is %q", out)
	}
	lab.Eventually(t, "containers of inits to go", func(context.Context) error {
		if left := h.world.Docker(t, "ps", "-aq", "--filter", "label=havre.kind=hook", "--filter", "label=havre.project="+filepath.Base(filepath.Dir(volumes[0]))); left != "" {
			return fmt.Errorf("%s stays", left)
		}
		return nil
	})
}

func TestFailedInitStopsTheDeployWithItsOutput(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildFilled(t, "failing:1")
	file := h.write(t, "initfail/compose.yml", fmt.Sprintf(filled, "failing:1", "INIT_EXIT: '3'"))
	h.removeLater(t, "initfail")
	r := h.run(t, "apply", "-f", file, "-p", "initfail", "--yes")
	if r.code != 1 {
		t.Errorf("apply ends with %d", r.code)
	}
	has(t, "apply", r.out+r.errs, "/dk/container_init", "code 3", "the disk of this test is full", "filling as 1234:567")
	has(t, "history", h.must(t, "history", "initfail.web"), "failed", "code 3")
	if s, err := h.service(t.Context(), "initfail.web"); err != nil || s.Healthy != 0 || len(s.Tasks) != 0 {
		t.Errorf("the service runs: %+v, %v", s, err)
	}
	h.apply(t, "initfail", fmt.Sprintf(filled, "failing:1", "INIT_EXIT: '0'"))
	if out := h.must(t, "exec", "initfail.web", "--", "/app", "cat", "/vol/rw/filled"); out != "begun\nbegun\ndone\n" {
		t.Errorf("the second try left %q", out)
	}
}

// Whoever is killed while an init runs, it counts as done when it was, and
// never runs again after that.
func TestInitIsCountedOnceWhoeverIsKilled(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.buildFilled(t, "killed:1")
	file := h.write(t, "killed/compose.yml", fmt.Sprintf(filled, "killed:1", "INIT_LASTS: 8s"))
	h.removeLater(t, "killed")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	apply := h.command(ctx, "apply", "-f", file, "-p", "killed", "--yes")
	if err := apply.Start(); err != nil {
		t.Fatal(err)
	}
	h.filling(t, "begun\n")
	for _, role := range []string{"server", "guard"} {
		if err := syscall.Kill(h.pid(t, role), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	_ = apply.Wait() // its server was killed under it
	h.healthy(t, "killed.web")
	h.filling(t, "begun\ndone\n")

	// An engine that dies takes the init along: that is not done.
	file = h.write(t, "killed2/compose.yml", fmt.Sprintf(filled, "killed:1", "INIT_LASTS: 20s"))
	h.removeLater(t, "killed2")
	apply = h.command(ctx, "apply", "-f", file, "-p", "killed2", "--yes")
	if err := apply.Start(); err != nil {
		t.Fatal(err)
	}
	h.filling(t, "begun\ndone\n", "begun\n")
	// One that dies before it has noted the start loses the process, which goes
	// on: decision 0073.
	lab.Eventually(t, "the engine to know that the init runs", func(context.Context) error {
		if h.world.Docker(t, "ps", "-q", "--filter", "label=havre.kind=hook", "--filter", "status=running") == "" {
			return errors.New("it does not")
		}
		return nil
	})
	h.world.KillEngine(t)
	h.world.StartEngine(t)
	_ = apply.Wait() // it may say that the init failed
	h.run(t, "apply", "-f", h.write(t, "killed2/compose.yml", fmt.Sprintf(filled, "killed:1", "INIT_LASTS: 0s")), "-p", "killed2", "--yes")
	h.healthy(t, "killed2.web")
	h.filling(t, "begun\ndone\n", "begun\nbegun\ndone\n")
}

// filling waits until the volumes say what their inits have done.
func (h *havre) filling(t *testing.T, want ...string) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("volumes that say %q", want), func(context.Context) error {
		var got []string
		err := filepath.WalkDir(h.data+"/volume", func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "filled" {
				text, err := os.ReadFile(path)
				got = append(got, string(text))
				return err
			}
			return nil
		})
		for _, w := range want {
			found := false
			for _, g := range got {
				found = found || g == w
			}
			if !found {
				return fmt.Errorf("they say %q, %v", got, err)
			}
		}
		return err
	})
}

func TestFilesAreCopiedInAndOutAsDockerDoes(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildFilled(t, "copied:1")
	h.apply(t, "copied", fmt.Sprintf(filled, "copied:1", "A: b"))
	h.write(t, "site/a", "one")
	h.write(t, "site/sub/b:c", "two")
	if err := os.Symlink("/etc/passwd", filepath.Join(h.work, "site/link")); err != nil {
		t.Fatal(err)
	}
	h.must(t, "cp", "site", "copied.web:/vol/ro")
	if out := h.must(t, "exec", "copied.web", "--", "/app", "cat", "/vol/ro/site/a", "/vol/ro/site/sub/b:c", "/vol/ro/given"); out != "onetwoby init\n" {
		t.Errorf("in /vol/ro there is %q", out)
	}
	h.must(t, "cp", "--chown", "1234:567", "site/a", "copied.web:/vol/rw/mine")
	h.must(t, "exec", "copied.web", "--", "/app", "write", "/vol/rw/mine", "and more")
	h.must(t, "cp", "copied/web.vol-rw:/mine", "back")
	if text, err := os.ReadFile(filepath.Join(h.work, "back")); string(text) != "oneand more\n" {
		t.Errorf("back came %q, %v", text, err)
	}
	h.must(t, "cp", "copied.web:/vol/ro/site", "out")
	if to, err := os.Readlink(filepath.Join(h.work, "out/link")); to != "/etc/passwd" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if text, _ := os.ReadFile(filepath.Join(h.work, "out/sub/b:c")); string(text) != "two" {
		t.Errorf("the copied directory has %q", text)
	}
	// A link in a volume leads nowhere but into the container.
	if text, err := os.ReadFile(filepath.Join(h.work, "passwd")); err == nil {
		t.Errorf("there is %q already", text)
	}
	h.must(t, "cp", "-L", "copied.web:/vol/ro/site/link", "passwd")
	if text, _ := os.ReadFile(filepath.Join(h.work, "passwd")); !strings.Contains(string(text), "allgo:x:1234") {
		t.Errorf("the link was followed to %q", text)
	}
	if r := h.run(t, "cp", "site/a", "copied.web:/none/x"); r.code != 4 {
		t.Errorf("to nowhere: %+v", r)
	}
	if left := h.world.Docker(t, "ps", "-aq", "--filter", "name=-cp-"); left != "" {
		t.Errorf("ways to volumes stay: %s", left)
	}
}

func TestCachesAndLogsAreEmptiedUnderARunningService(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildFilled(t, "emptied:1")
	h.apply(t, "emptied", fmt.Sprintf(filled, "emptied:1", "A: b"))
	for _, at := range []string{"rw", "cache", "log"} {
		h.must(t, "exec", "emptied.web", "--", "/app", "write", "/vol/"+at+"/file", at)
	}
	has(t, "ls", h.must(t, "volume", "ls", "emptied"), "emptied/web.vol-cache", "cache", "log", "read-only", "prod.emptied.web", h.data+"/volume/prod/")
	h.must(t, "volume", "clean", "emptied/web.vol-cache", "emptied/web.vol-log")
	if out := h.must(t, "exec", "emptied.web", "--", "/app", "ls", "/vol/cache"); out != "" {
		t.Errorf("the cache still has %q", out)
	}
	if out := h.must(t, "exec", "emptied.web", "--", "/app", "cat", "/vol/log/file", "/vol/rw/file"); out != "rw\n" {
		t.Errorf("the log's file and the data are %q", out)
	}
	if r := h.run(t, "volume", "clean", "emptied/web.vol-rw"); r.code != 2 {
		t.Errorf("data was emptied: %+v", r)
	}
	if r := h.run(t, "volume", "rm", "emptied/web.vol-rw", "--yes"); r.code != 2 {
		t.Errorf("a volume in use: %+v", r)
	}
	h.must(t, "rm", "emptied/", "--yes")
	has(t, "ls", h.must(t, "volume", "ls", "emptied"), "orphaned")
	for _, v := range []string{"rw", "ro", "cache", "log"} {
		h.must(t, "volume", "rm", "emptied/web.vol-"+v, "--yes")
	}
	if r := h.run(t, "volume", "ls", "emptied"); r.code != 4 {
		t.Errorf("the project is still remembered: %+v", r)
	}
}
