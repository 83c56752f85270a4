package docker_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/lab"
)

// foreign gives the app's image a name that is not Havre's.
func (h *havre) foreign(t *testing.T, name string) {
	t.Helper()
	h.world.Docker(t, "tag", "havre.invalid/prod/app:1", name)
}

// note adds a line to the app's data; notes waits until the data is exactly want.
func (h *havre) note(t *testing.T, port int, line string) {
	t.Helper()
	lab.Eventually(t, "the app to write "+line, func(ctx context.Context) error {
		got, err := h.get(ctx, fmt.Sprintf("http://127.0.0.1:%d/write?arg=/data/note&text=%s", port, url.QueryEscape(line)))
		if err == nil && got != "<nil>" {
			err = fmt.Errorf("%s", got)
		}
		return err
	})
}

func (h *havre) notes(t *testing.T, port int, want string) {
	t.Helper()
	h.answers(t, fmt.Sprintf("http://127.0.0.1:%d/cat?arg=/data/note", port), want)
}

// fileAt finds the one file that a pattern means.
func fileAt(t *testing.T, pattern string) os.FileInfo {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s is %v (%v)", pattern, found, err)
	}
	info, err := os.Stat(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestContainerIsImportedGivenBackAndKept(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.foreign(t, "lone:1")
	h.world.Docker(t, "run", "-d", "--name", "lone", "--restart", "always", "-p", "18060:8080", "-v", "lone-data:/data", "-e", "VERSION=mine", "lone:1")
	t.Cleanup(func() { _, _ = h.world.Ask(context.Background(), "rm", "-f", "-v", "lone") })
	h.removeLater(t, "alone")
	h.note(t, 18060, "one")
	was := h.world.Docker(t, "inspect", "-f", "{{.HostConfig.RestartPolicy}} {{.State.Running}}", "lone")

	before := fileAt(t, h.world.Docker(t, "volume", "inspect", "-f", "{{.Mountpoint}}", "lone-data")+"/note")
	plan := h.must(t, "import", "container", "lone", "-p", "alone", "--data", h.data, "--plan-only")
	has(t, "plan", plan, "image: lone:1", "VERSION: mine", "source: lone-data", "lone-data becomes the volume lone-data", "replaced: lone")
	if strings.Contains(plan, "PATH") {
		t.Errorf("variables of the image are taken for the container's:\n%s", plan)
	}
	has(t, "import", h.must(t, "import", "container", "lone", "-p", "alone", "--data", h.data, "--yes"), "lone: healthy", "havre import confirm alone")
	h.notes(t, 18060, "one")
	if after := fileAt(t, h.data+"/volume/prod/*/lone-data/note"); !os.SameFile(before, after) {
		t.Error("the data was copied, though both ends are on one file system")
	}
	h.answers(t, "http://127.0.0.1:18060/", "mine")
	h.note(t, 18060, "two")
	if state := h.world.Docker(t, "inspect", "-f", "{{.HostConfig.RestartPolicy.Name}} {{.State.Running}}", "lone"); state != "no false" {
		t.Errorf("the old one is %q", state)
	}
	if out, err := h.world.Ask(t.Context(), "start", "lone"); err == nil {
		t.Errorf("the old one starts without its data: %s", out)
	}
	has(t, "ls", h.must(t, "import", "ls", "--data", h.data), "alone", "waiting")

	has(t, "undo", h.must(t, "import", "undo", "alone", "--data", h.data), "as before")
	h.notes(t, 18060, "one\ntwo")
	if now := h.world.Docker(t, "inspect", "-f", "{{.HostConfig.RestartPolicy}} {{.State.Running}}", "lone"); now != was {
		t.Errorf("it was %q and came back %q", was, now)
	}

	h.must(t, "import", "container", "lone", "-p", "alone", "--data", h.data, "--yes")
	h.must(t, "import", "confirm", "alone", "--data", h.data)
	h.notes(t, 18060, "one\ntwo")
	if left := h.world.Docker(t, "ps", "-aq", "--filter", "name=^lone$") + h.world.Docker(t, "volume", "ls", "-q", "--filter", "name=lone-data"); left != "" {
		t.Errorf("left of the old one: %s", left)
	}
	if r := h.run(t, "import", "undo", "alone", "--data", h.data); r.code != 4 {
		t.Errorf("undo after confirm: exit code %d", r.code)
	}
}

// What docker compose starts is known by its labels.
func TestComposeProjectIsImported(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.foreign(t, "comp:1")
	run := func(service string, more ...string) {
		args := []string{"run", "-d", "--name", "comp-" + service + "-1", "--label", "com.docker.compose.project=comp", "--label", "com.docker.compose.service=" + service}
		h.world.Docker(t, append(append(args, more...), "comp:1")...)
		t.Cleanup(func() { _, _ = h.world.Ask(context.Background(), "rm", "-f", "-v", "comp-"+service+"-1") })
	}
	run("db", "-v", "comp_data:/data")
	run("web", "-p", "127.0.0.1:18061:8080", "-v", "comp_other:/data", "--label", "com.docker.compose.depends_on=db:service_started:false")
	h.removeLater(t, "comp")
	h.note(t, 18061, "kept")
	dir := h.work + "/comp"
	h.write(t, "comp/compose.yml", "services: {db: {image: 'comp:1'}, web: {image: 'comp:1'}}")
	has(t, "import", h.must(t, "import", "compose", dir, "--data", h.data, "--yes"), "source: data", "host_ip", "service_started", "web: healthy", "db: healthy")
	h.notes(t, 18061, "kept")
	h.must(t, "import", "undo", "comp", "--data", h.data)
	h.notes(t, 18061, "kept")
}

func TestStackIsImportedAndGivenBack(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.foreign(t, "stk:1")
	id := h.world.Docker(t, "service", "create", "-q", "-d", "--name", "stk_web", "--update-order", "stop-first", "--label", "com.docker.stack.namespace=stk", "--no-resolve-image", "--endpoint-mode", "dnsrr",
		"--publish", "mode=host,published=18062,target=8080", "--mount", "type=volume,source=stk_data,target=/data", "--env", "VERSION=stacked", "stk:1")
	t.Cleanup(func() { _, _ = h.world.Ask(context.Background(), "service", "rm", id) })
	h.removeLater(t, "stk")
	h.note(t, 18062, "one")
	has(t, "import", h.must(t, "import", "stack", "stk", "--data", h.data, "--yes"), "source: data", "order: stop-first", "web: healthy")
	h.notes(t, 18062, "one")
	h.note(t, 18062, "two")
	h.must(t, "import", "undo", "stk", "--data", h.data)
	h.notes(t, 18062, "one\ntwo")
	h.must(t, "import", "stack", "stk", "--data", h.data, "--yes")
	h.must(t, "import", "confirm", "stk", "--data", h.data)
	h.notes(t, 18062, "one\ntwo")
	if left := h.world.Docker(t, "service", "ls", "-q", "--filter", "name=stk_web"); left != "" {
		t.Errorf("left of the stack: %s", left)
	}
}

// What does not get healthy, here for want of a directory of the machine, is undone at once; what could be root is refused.
func TestImportThatFailsGoesBackByItself(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.foreign(t, "odd:1")
	h.world.Docker(t, "run", "-d", "--name", "odd", "-p", "18063:8080", "-v", "odd-data:/data", "--cap-add", "SYS_ADMIN", "odd:1")
	h.world.Docker(t, "run", "-d", "--name", "even", "-p", "18064:8080", "-v", "even-data:/data", "-v", h.work+":/machine", "-e", "LOCK=/machine/lock", "odd:1")
	t.Cleanup(func() { _, _ = h.world.Ask(context.Background(), "rm", "-f", "-v", "odd", "even") })
	if r := h.run(t, "import", "container", "odd", "--data", h.data, "--yes"); r.code != 2 || !strings.Contains(r.errs, "the capability CAP_SYS_ADMIN") {
		t.Errorf("exit code %d: %s%s", r.code, r.out, r.errs)
	}
	h.note(t, 18064, "one")
	r := h.run(t, "import", "container", "even", "--data", h.data, "--yes")
	if r.code != 1 {
		t.Errorf("exit code %d", r.code)
	}
	has(t, "failed import", r.out+r.errs, "of the machine is not taken over", "all goes back", "starting even")
	h.notes(t, 18064, "one")
}
