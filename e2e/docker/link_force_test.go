package docker_test

import "testing"

func TestTargetRemovedByForceIsMetAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	h := up(t)
	store := `services: {db: {image: "app:1"}}`
	h.apply(t, "fstore", store)
	h.apply(t, "fshop", `services: {web: {image: "app:1", x-havre: {links: ["fstore/db:database"]}}}`)
	before, _ := h.container(t, "fshop.web")
	if r := h.run(t, "rm", "fstore/", "--yes"); r.code != 2 {
		t.Errorf("exit code %d: %s%s", r.code, r.out, r.errs)
	}
	has(t, "rm --force", h.must(t, "rm", "fstore/", "--force", "--yes"), "removed service", "cut off: fshop.web runs on")
	if after, _ := h.container(t, "fshop.web"); after.Container != before.Container {
		t.Error("who linked to it was touched")
	}
	if got := h.inside(t, "fshop.web", "database:8080"); got == "ok" {
		t.Error("it is still there")
	}
	h.whySays(t, "fshop.web", "its link to fstore/db leads nowhere: that was removed", "apply project fstore again")
	h.must(t, "apply", "-f", h.write(t, "fstore/compose.yml", store), "-p", "fstore", "--yes")
	eventually(t, func() string {
		if got := h.inside(t, "fshop.web", "database:8080"); got != "ok" {
			return "they do not meet again: " + got
		}
		return ""
	})
}
