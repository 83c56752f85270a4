package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/lab"
)

const (
	firstPort   = 19000
	stableAsFar = "stable/s:far"
)

// victims are what may end at any moment.
var victims = []string{"app", "guard", "server", "ingress", "up", "portal", "engine", "reboot"}

// harmless are those without which services are served on.
var harmless = []string{"guard", "server", "up"}

// want is what a person applies.
type want struct {
	version  string
	replicas int  // of web
	extra    bool // a third service
	linked   bool // web links to the other project
}

func (w want) compose() string {
	text := fmt.Sprintf(`
services:
  web:
    image: app:1
    environment: {VERSION: %[1]s}
    ports: ["19001:8080"]
    healthcheck: {test: ["CMD", "/app", "healthcheck"], interval: 1s}
    deploy: {replicas: %[2]d}
    x-havre: {links: [%[3]s]}
  db:
    image: app:1
    environment: {VERSION: %[1]s, LOCK: /vol/rw/lock}
    ports: ["19002:8080"]
    volumes: ["data:/vol/rw"]
    healthcheck: {test: ["CMD", "/app", "healthcheck"], interval: 1s}
`, w.version, w.replicas, map[bool]string{true: stableAsFar}[w.linked])
	if w.extra {
		text += fmt.Sprintf("  extra:\n    image: app:1\n    environment: {VERSION: %s}\n    ports: ['19003:8080']\n", w.version)
	}
	return text + "volumes: {data: {}}\n"
}

// ports are those that are to answer.
func (w want) ports() []int {
	if w.extra {
		return []int{19001, 19002, 19003}
	}
	return []int{19001, 19002}
}

// seeds are 4, or with HAVRE_LONG 52. HAVRE_SEED=16 begins with that one.
func seeds() (first, count uint64) {
	first, _ = strconv.ParseUint(os.Getenv("HAVRE_SEED"), 10, 32) // 0 is the usual one
	if os.Getenv("HAVRE_LONG") != "" {
		return first, 52
	}
	return first, 4
}

func TestWhatWasAppliedRunsWhoeverIsKilled(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.must(t, "apply", "-f", stable(t, "none"), "-p", "stable", "--yes")
	first, count := seeds()
	for seed := first; seed < first+count; seed++ {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { h.round(t, seed) }) {
			return
		}
	}
}

// stable is the file of the project that answers the same all the time, though
// each round updates it, and to which the other one links.
func stable(t *testing.T, round string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stable.yml")
	write(t, file, fmt.Sprintf("services: {s: {image: 'app:1', environment: {VERSION: stable, ROUND: %s}, ports: ['19000:8080']}}", round))
	return file
}

// apply applies a file as a project.
func (h *havre) apply(file, project string) (string, error) {
	return h.run("apply", "-f", file, "-p", project, "--yes")
}

// round applies something, kills two of the victims meanwhile, and looks.
func (h *havre) round(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	wanted := want{version: fmt.Sprint("v", seed), replicas: 1 + r.IntN(2), extra: r.IntN(2) == 0, linked: seed%4 != 3}
	file := filepath.Join(t.TempDir(), "compose.yml")
	write(t, file, wanted.compose())
	files := map[string]string{"chaos": file, "stable": stable(t, wanted.version)}
	order := rand.New(rand.NewPCG(seed/4, 4)).Perm(len(victims)) // four seeds kill each of them once
	kills := []string{victims[order[seed%4*2]], victims[order[seed%4*2+1]]}
	v := h.visit(firstPort)
	var applies sync.WaitGroup
	for project, file := range files {
		applies.Go(func() { _, _ = h.apply(file, project) }) // it may be cut off, and then says so
	}
	for _, victim := range kills {
		after := time.Duration(r.IntN(4000)) * time.Millisecond
		t.Logf("seed %d: %+v; %s later %s is killed", seed, wanted, after, victim)
		<-time.After(after)
		h.kill(t, victim, r)
	}
	h.must(t, "up", "--detach", "--data", h.data())
	applies.Wait()
	for project, file := range files {
		lab.Eventually(t, "an apply to succeed", func(context.Context) error {
			_, err := h.apply(file, project)
			return err
		})
	}
	lab.Eventually(t, "exactly what was applied to run", func(ctx context.Context) error { return h.check(ctx, wanted) })
	visits, failed := v.end()
	if failed != "" && !slices.ContainsFunc(kills, func(k string) bool { return !slices.Contains(harmless, k) }) {
		t.Errorf("of %d visits to another service one failed: %s", visits, failed)
	}
	if t.Failed() {
		text, _ := os.ReadFile(filepath.Join(h.data(), "log", "server.log"))
		t.Logf("%s", text[max(0, len(text)-3000):])
	}
}

func (h *havre) kill(t *testing.T, victim string, r *rand.Rand) {
	t.Helper()
	switch victim {
	case "app", "portal":
		kind := map[string]string{"app": "service", "portal": "portal"}[victim]
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		all, err := h.containers(ctx, kind)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) > 0 {
			_, _ = h.world.Ask(ctx, "kill", all[r.IntN(len(all))]) // it may have ended by itself
		}
	case "engine":
		h.world.KillEngine(t)
		<-time.After(time.Duration(r.IntN(2000)) * time.Millisecond)
		h.world.StartEngine(t)
	case "reboot":
		h.world.Reboot(t)
		h.must(t, "up", "--detach", "--data", h.data())
	default:
		if err := h.signal(victim); err != nil {
			t.Fatal(err)
		}
	}
}

// check compares everything there is with what was applied.
func (h *havre) check(ctx context.Context, w want) error {
	containers, listening := w.replicas+2, map[int]bool{firstPort: true}
	if w.extra {
		containers++
	}
	for _, p := range w.ports() {
		listening[p] = true
		if got, err := h.get(ctx, p, "/"); err != nil || got != w.version {
			return fmt.Errorf("port %d answers %q, %w", p, got, err)
		}
	}
	if got, err := h.get(ctx, firstPort, "/"); err != nil || got != "stable" {
		return fmt.Errorf("the other project answers %q, %w", got, err)
	}
	if got, err := h.get(ctx, firstPort, "/env?arg=ROUND"); err != nil || got != w.version {
		return fmt.Errorf("the other project is of round %q, not %s; %w", got, w.version, err)
	}
	if got, err := h.get(ctx, 19001, "/dial?arg=far:8080"); err != nil || (got == "ok") != w.linked {
		return fmt.Errorf("over the link %v web gets %q, %w", w.linked, got, err)
	}
	ports, err := h.listens()
	if err != nil || !reflect.DeepEqual(ports, listening) {
		return fmt.Errorf("the ingress listens on %v, not on %v; %w", ports, listening, err)
	}
	for what, expected := range map[string]struct {
		count int
		ask   string
	}{
		"swarm services":   {len(listening), "service ls -q --filter label=havre.kind=service"},
		"containers":       {containers, "ps -q --filter label=havre.kind=service"},
		"link networks":    {map[bool]int{true: 1}[w.linked], "network ls -q --filter label=havre.kind=link"},
		"networks":         {2, "network ls -q --filter label=havre.kind=network"},
		"portals":          {1, "ps -aq --filter label=havre.kind=portal"},
		"carriers":         {0, "ps -aq --filter label=havre.kind=carrier"},
		"configs":          {0, "config ls -q --filter label=havre.kind=config"},
		"engine's volumes": {0, "volume ls -q"},
	} {
		if all, err := h.lines(ctx, strings.Fields(expected.ask)...); err != nil || len(all) != expected.count {
			return fmt.Errorf("there are %d %s, not %d: %v, %w", len(all), what, expected.count, all, err)
		}
	}
	return h.volumes()
}

// volumes looks for the one volume, in which two never wrote at once.
func (h *havre) volumes() error {
	dirs, err := filepath.Glob(filepath.Join(h.data(), "volume", "*", "*", "*"))
	if err != nil || len(dirs) != 1 {
		return fmt.Errorf("volumes %v, %w", dirs, err)
	}
	if _, err := os.Stat(filepath.Join(dirs[0], "lock.broken")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("two wrote at once: %w", err)
	}
	return nil
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
