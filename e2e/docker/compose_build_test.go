package docker_test

import (
	"strings"
	"testing"
)

const building = `
services:
  web:
    build:
      context: src
      dockerfile: images/web.Dockerfile
      args: {TEXT: of the file}
      target: last
      no_cache: true
  plain: {build: src/plain}
`

// An apply builds what the environment lacks, as the file says, and with
// --build all of it: what its layers are kept for stays the same image.
func TestApplyBuildsWhatTheEnvironmentLacks(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.write(t, "built/src/images/web.Dockerfile", "FROM app:1 AS first\nARG TEXT\nENV SAID=$TEXT\nFROM first AS last\nENV STAGE=last\nFROM last AS beyond\nENV STAGE=beyond\n")
	h.write(t, "built/src/plain/Dockerfile", "FROM app:1\nENV SAID=plain\n")
	file := h.write(t, "built/compose.yml", building)
	has(t, "the plan", h.must(t, "apply", "-f", file, "--plan-only"), "build image built-web from ", "build image built-plain from ", "create")
	if r := h.run(t, "apply", "-f", file); r.code != 2 || strings.Contains(r.out, "Step ") {
		t.Errorf("nobody said yes: %d\n%s%s", r.code, r.out, r.errs)
	}
	h.apply(t, "built", building)
	for name, want := range map[string]string{"built.web": "SAID=of the file\nSTAGE=last\n", "built.plain": "SAID=plain\n"} {
		env := h.must(t, "exec", name, "--", "/app", "env")
		for line := range strings.Lines(want) {
			has(t, name, env, line)
		}
	}
	if out := h.must(t, "apply", "-f", file, "--yes"); strings.Contains(out, "build") {
		t.Errorf("what is there is built again:\n%s", out)
	}
	h.must(t, "apply", "-f", file, "--yes", "--build")
	for name, want := range map[string]int{"built.web": 2, "built.plain": 1} {
		if s, err := h.service(t.Context(), name); err != nil || s.Rollout != want {
			t.Errorf("%s is r%d and not r%d, %v", name, s.Rollout, want, err)
		}
	}
	h.write(t, "built/src/plain/Dockerfile", "FROM app:1\nADD https://example.org/x /x\n")
	r := h.run(t, "apply", "-f", file, "--yes", "--build")
	if r.code != 3 {
		t.Errorf("exit code %d", r.code)
	}
	has(t, "a build that is refused", r.errs, "compose.yml:10:", "service plain: ", "no URLs", "[rule build-remote-add]", "fetch it into the directory")
}
