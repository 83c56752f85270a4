package compose_test

import (
	"fmt"
	"strings"
	"testing"

	"havre/internal/spec"
)

func TestOrderOfUpdatesIsReadOrTold(t *testing.T) {
	const data, only = "data:/data", "data:/data:ro"
	for _, c := range []struct {
		update, rollback, volume string
		want                     spec.Order
		note, wrong              string
	}{
		{update: "stop-first", volume: only, want: spec.StopFirst},
		{update: "stop-first", volume: data, want: spec.StopFirst},
		{update: "start-first", volume: only, want: spec.StartFirst},
		{update: "'${ORDER:-stop-first}'", volume: only, want: spec.StopFirst},
		{update: "start-first", volume: data, note: "c.yml:6:25: deploy.update_config.order: start-first has no effect: web writes to volume data"},
		{update: "both", volume: only, wrong: "c.yml:6"},
		{update: "stop-first", rollback: "stop-first", volume: only, want: spec.StopFirst},
		{update: "start-first", rollback: "start-first", volume: only, want: spec.StartFirst},
		{rollback: "start-first", volume: only},
		{rollback: "stop-first", volume: data},
		{rollback: "stop-first", volume: only, wrong: "c.yml:7:27: deploy.rollback_config.order: stop-first is refused: a rollback is an update"},
		{update: "stop-first", rollback: "start-first", volume: only, want: spec.StopFirst, note: "c.yml:7:27: deploy.rollback_config.order: start-first has no effect"},
		{rollback: "start-first", volume: data, note: "c.yml:7:27: deploy.rollback_config.order: start-first has no effect"},
		{rollback: "both", volume: only, wrong: `c.yml:7:27: deploy.rollback_config.order: "both" is unknown`},
		{rollback: "[stop-first]", volume: only, wrong: "c.yml:7:34: deploy.rollback_config.order must be a single value"},
	} {
		r := read(t, fmt.Sprintf(withOrders, c.volume, inOrder(c.update), inOrder(c.rollback)))
		what := fmt.Sprintf("%s, %s, %s", c.update, c.rollback, c.volume)
		heard(t, what, fmt.Sprint(r.Notes), c.note)
		heard(t, what, fmt.Sprint(r.Mistakes), c.wrong)
		if c.wrong == "" && (len(r.Project.Services) != 1 || r.Project.Services[0].Order != c.want) {
			t.Errorf("%s: %+v; want order %q", what, r.Project.Services, c.want)
		}
	}
}

const withOrders = `services:
  web:
    image: web
    volumes: [%q]
    deploy:
      update_config:   %s
      rollback_config:   %s
volumes: {data: {}}
`

func inOrder(order string) string {
	if order == "" {
		return "{}"
	}
	return "{order: " + order + "}"
}

// heard wants one complaint that says want, or none.
func heard(t *testing.T, what, said, want string) {
	t.Helper()
	if want == "" && strings.Trim(said, "[]") != "" || !strings.Contains(said, want) {
		t.Errorf("%s: said %s, want %q", what, said, want)
	}
}
