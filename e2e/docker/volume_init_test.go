package docker_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestInitThatTakesTooLongIsEnded(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.buildFilled(t, "lasting:1")
	text := strings.Replace(fmt.Sprintf(filled, "lasting:1", "INIT_LASTS: 1h"), "    image: lasting:1\n", "    image: lasting:1\n    x-havre: {init: {timeout: 2s}}\n", 1)
	file := h.write(t, "initlong/compose.yml", text)
	h.removeLater(t, "initlong")
	r := h.run(t, "apply", "-f", file, "-p", "initlong", "--yes")
	if r.code != 1 {
		t.Errorf("apply ends with %d", r.code)
	}
	has(t, "apply", r.out+r.errs, "did not fill its volumes within 2s", "filling as 1234:567")
	eventually(t, func() string {
		if left := h.world.Docker(t, "ps", "-q", "--filter", "label=havre.kind=hook", "--filter", "ancestor=havre.invalid/prod/lasting:1"); left != "" {
			return "it still runs: " + left
		}
		return ""
	})
	h.apply(t, "initlong", fmt.Sprintf(filled, "lasting:1", "INIT_LASTS: 0s"))
	if out := h.must(t, "exec", "initlong.web", "--", "/app", "cat", "/vol/rw/filled"); out != "begun\nbegun\ndone\n" {
		t.Errorf("the second try left %q", out)
	}
}
