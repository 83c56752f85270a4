package docker_test

import (
	"fmt"
	"strings"
	"testing"
)

// upgrading is a service with data whose image changes.
const upgrading = `
services:
  web:
    image: upgrading:%d
    environment: {INIT_EXIT: '%d'}
    ports: ['8080']
    x-havre: {domains: [upgrading.example.org], upgrade: [/app, %s]}
`

// buildVersions makes n images that differ in the version they answer with.
func (h *havre) buildVersions(t *testing.T, name string, n int) {
	t.Helper()
	h.buildFilled(t, name+":0")
	for v := 1; v <= n; v++ {
		dir := t.TempDir()
		h.write(t, dir+"/Dockerfile", fmt.Sprintf("FROM %s:0\nENV VERSION=v%d\n", name, v))
		h.must(t, "image", "build", "-t", fmt.Sprintf("%s:%d", name, v), dir)
	}
}

func TestUpgradeRunsOnceBeforeTheNewImageAndItsFailureBringsTheOldOneBack(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildVersions(t, "upgrading", 3)
	// An image that is brought up to date by its own program is another image.
	dir := t.TempDir()
	h.write(t, dir+"/Dockerfile", "FROM upgrading:3\nUSER 0\nRUN [\"/app\", \"write\", \"/upgraded\", \"yes\"]\nUSER allgo\n")
	h.must(t, "image", "build", "-t", "upgrading:3", dir)
	const writes = "write, /vol/rw/steps, up"
	steps := func() string { return h.must(t, "exec", "upgrading.web", "--", "/app", "cat", "/vol/rw/steps") }

	h.apply(t, "upgrading", fmt.Sprintf(upgrading, 1, 0, writes))
	if r := h.run(t, "exec", "upgrading.web", "--", "/app", "cat", "/vol/rw/steps"); r.code == 0 {
		t.Errorf("the first deploy was an upgrade: %s", r.out)
	}
	h.apply(t, "upgrading", fmt.Sprintf(upgrading, 2, 0, writes))
	if got := steps(); got != "up\n" {
		t.Errorf("after the upgrade there is %q", got)
	}
	h.apply(t, "upgrading", fmt.Sprintf(upgrading, 2, 1, writes)) // another variable, the same image
	if got := steps(); got != "up\n" {
		t.Errorf("after a deploy of the same image there is %q", got)
	}

	file := h.write(t, "upgrading/compose.yml", fmt.Sprintf(upgrading, 3, 3, "fill"))
	r := h.run(t, "apply", "-f", file, "-p", "upgrading", "--yes")
	if r.code != 1 {
		t.Errorf("apply ends with %d", r.code)
	}
	has(t, "apply", r.out+r.errs, "its upgrade /app", "code 3", "the disk of this test is full", "r3 serves on")
	has(t, "history", h.must(t, "history", "upgrading.web"), "failed", "code 3")
	if got := h.version(t, "upgrading.example.org"); got != "v2" {
		t.Errorf("after a failed upgrade it answers %q", got)
	}
	if left := h.world.Docker(t, "ps", "-a", "--filter", "label=havre.kind=hook", "--format", "{{.Names}}"); strings.Contains(left, "-upgrade") {
		t.Errorf("containers of upgrades stay: %s", left)
	}
}
