package docker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"havre/internal/lab"
)

const printing = "services: {s: {image: 'app:1', environment: {PRINT: '%s'}}}"

// The engine removes a container's log with the container.
func TestLinesOfRolloutsThatEndedStayReadable(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "lines", fmt.Sprintf(printing, "the first one speaks"))
	h.apply(t, "lines", fmt.Sprintf(printing, "the second one speaks"))
	bad := h.write(t, "lines/bad.yml", "services: {s: {image: 'app:1', environment: {CRASH: '4', PRINT: 'the third one speaks'}}}")
	if r := h.run(t, "apply", "-f", bad, "-p", "lines", "--yes"); r.code != 1 {
		t.Errorf("apply: exit code %d, want 1: %s%s", r.code, r.out, r.errs)
	}
	one, err := h.service(t.Context(), "lines.s")
	if err != nil || len(one.Tasks) == 0 {
		t.Fatalf("%+v, %v", one, err)
	}
	project := h.world.Docker(t, "inspect", "--format", `{{index .Config.Labels "havre.project"}}`, one.Tasks[0].Container)
	h.must(t, "stop", "lines.s")
	lab.Eventually(t, "the containers to be gone", func(context.Context) error {
		if left := h.world.Docker(t, "ps", "-aq", "--filter", "label=havre.project="+strings.TrimSpace(project)); left != "" {
			return fmt.Errorf("left: %s", left)
		}
		return nil
	})
	for rollout, want := range map[string]string{"1": "the first one speaks", "2": "the second one speaks", "3": "the third one speaks"} {
		has(t, "logs of r"+rollout, h.must(t, "logs", "lines.s", "--rollout", rollout), want)
	}
	plain := h.must(t, "logs", "lines.s", "-t")
	has(t, "logs of what is down", plain, "the second one speaks")
	if strings.Contains(plain, "the first one") {
		t.Errorf("logs gives lines of a former rollout: %s", plain)
	}
}
