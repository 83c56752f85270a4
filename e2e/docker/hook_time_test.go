package docker_test

import (
	"fmt"
	"testing"
)

const longUpgrade = `
services:
  web:
    image: late:%d
    environment: {INIT_LASTS: %s}
    ports: ['8080']
    x-havre: {domains: [late.example.org], upgrade: {command: [/app, fill], timeout: 2s}}
`

func TestUpgradeThatTakesTooLongIsEndedAndTheOldOneServes(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildVersions(t, "late", 2)
	h.apply(t, "late", fmt.Sprintf(longUpgrade, 1, "0s"))
	file := h.write(t, "late/compose.yml", fmt.Sprintf(longUpgrade, 2, "1h"))
	r := h.run(t, "apply", "-f", file, "-p", "late", "--yes")
	if r.code != 1 {
		t.Errorf("apply ends with %d", r.code)
	}
	has(t, "apply", r.out+r.errs, "its upgrade /app did not bring its data to the new image within 2s", "filling as 1234:567", "r1 serves on")
	has(t, "history", h.must(t, "history", "late.web"), "failed", "within 2s")
	if got := h.version(t, "late.example.org"); got != "v1" {
		t.Errorf("after an upgrade without end it answers %q", got)
	}
	if left := h.world.Docker(t, "ps", "-a", "--quiet", "--filter", "label=havre.kind=hook", "--filter", "ancestor=havre.invalid/prod/late:2"); left != "" {
		t.Errorf("it still runs: %s", left)
	}
}
