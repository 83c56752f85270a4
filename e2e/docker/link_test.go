package docker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// eventually waits until look says "", or fails with what it says last.
func eventually(t *testing.T, look func() string) {
	t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	end := time.After(90 * time.Second)
	for {
		says := look()
		if says == "" {
			return
		}
		select {
		case <-end:
			t.Fatal(says)
		case <-tick.C:
		}
	}
}

// linkNetworks counts the engine's link networks of a project.
func (h *havre) linkNetworks(t *testing.T, project string) int {
	t.Helper()
	out := h.world.Docker(t, "service", "ls", "-q", "--filter", "label=havre.kind=service")
	id := ""
	for _, s := range strings.Fields(out) {
		labels, err := h.world.Ask(t.Context(), "service", "inspect", "-f", `{{index .Spec.Labels "havre.project"}} {{range .Spec.TaskTemplate.ContainerSpec.Env}}{{.}} {{end}}`, s)
		if err != nil {
			continue // another test's, which is gone by now
		}
		if p, rest, _ := strings.Cut(labels, " "); slices.Contains(strings.Fields(rest), "WHOSE="+project) {
			id = p
		}
	}
	if id == "" {
		t.Fatalf("no service of %s", project)
	}
	return len(strings.Fields(h.world.Docker(t, "network", "ls", "-q", "--filter", "label=havre.kind=link", "--filter", "label=havre.project="+id)))
}

func TestLinkLetsTwoServicesOfTwoProjectsMeetAndNobodyElse(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "lstore", `
services:
  db: {image: "app:1"}
  cache: {image: "app:1"}
`)
	linked := `
services:
  web:
    image: app:1
    environment: {WHOSE: lshop}
    %s
  cron: {image: "app:1"}
`
	h.apply(t, "lshop", fmt.Sprintf(linked, `x-havre: {links: ["lstore/db:database"]}`))
	for from, want := range map[string]bool{"lshop.web": true, "lshop.cron": false, "lstore.cache": false} {
		if got := h.inside(t, from, "database:8080"); (got == "ok") != want {
			t.Errorf("%s reaches the link's target by its name: %s", from, got)
		}
	}
	if got := h.inside(t, "lstore.cache", "db:8080"); got != "ok" {
		t.Errorf("the target is on its project's network as before: %s", got)
	}
	if env := h.must(t, "exec", "lshop.web", "--", "/app", "env"); !strings.Contains(env, "DATABASE_PORT_8080_TCP_ADDR=database") {
		t.Errorf("the variables are %s", env)
	}
	// The rest of both projects does not meet, by addresses either.
	for _, pair := range [][2]string{{"lstore.db", "lshop.cron"}, {"lshop.web", "lstore.cache"}} {
		to, err := h.service(t.Context(), pair[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range strings.Fields(h.world.Docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", to.Tasks[0].Container)) {
			if got := h.inside(t, pair[0], address+":8080"); got == "ok" {
				t.Errorf("%s reaches %s at %s", pair[0], pair[1], address)
			}
		}
	}
	if r := h.run(t, "rm", "lstore.db", "--yes"); r.code == 0 || !strings.Contains(r.errs, "lshop.web links to prod.lstore.db") {
		t.Errorf("the target is removed: %d %s", r.code, r.errs)
	}
	if n := h.linkNetworks(t, "lshop"); n != 1 {
		t.Errorf("%d link networks", n)
	}
	h.apply(t, "lshop", fmt.Sprintf(linked, ""))
	eventually(t, func() string {
		if n := h.linkNetworks(t, "lshop"); n != 0 {
			return fmt.Sprintf("%d link networks are left after the last link", n)
		}
		return ""
	})
}
