package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/lab"
)

// rollouts are a service's, newest first.
func (h *havre) rollouts(t *testing.T, name string) []api.Rollout {
	t.Helper()
	var all []api.Rollout
	if err := json.Unmarshal([]byte(h.must(t, "history", name, "-o", "json")), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func fates(all []api.Rollout) string {
	var words []string
	for _, r := range all {
		words = append(words, fmt.Sprintf("r%d %s", r.Number, r.State))
	}
	return strings.Join(words, ", ")
}

func TestRollbackAnswersAsBefore(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "past", fmt.Sprintf(web, "v1", 18050, 1))
	h.apply(t, "past", fmt.Sprintf(web, "v2", 18050, 1))
	h.answers(t, "http://127.0.0.1:18050/", "v2")
	has(t, "rollback", h.must(t, "rollback", "past.web"), "back to r1", "web: healthy")
	h.answers(t, "http://127.0.0.1:18050/", "v1")
	if got := fates(h.rollouts(t, "past.web")); got != "r3 active, r2 retired, r1 retired" {
		t.Errorf("history: %s", got)
	}
	has(t, "diff", h.must(t, "diff", "past.web"), "environment.VERSION: v2 -> v1")
	file := h.write(t, "past/compose.yml", fmt.Sprintf(web, "v2", 18050, 1))
	if r := h.run(t, "apply", "-f", file, "-p", "past", "--plan-only", "--exit-code"); r.code != 10 {
		t.Errorf("the newer file: exit code %d\n%s%s", r.code, r.out, r.errs)
	}
	file = h.write(t, "past/compose.yml", fmt.Sprintf(web, "v2, CRASH: '3', PRINT: 'no licence'", 18050, 1))
	if r := h.run(t, "apply", "-f", file, "-p", "past", "--yes"); r.code != 1 {
		t.Errorf("exit code %d, want 1", r.code)
	}
	all := h.rollouts(t, "past.web")
	if got := fates(all); got != "r4 failed, r3 active, r2 retired, r1 retired" || !strings.Contains(all[0].Reason, "exited with code 3") || len(all[0].Lines) == 0 {
		t.Errorf("history of a failed one: %s, %+v", got, all[0])
	}
	h.answers(t, "http://127.0.0.1:18050/", "v1")
}

func TestRollbackRunsTheImageThatTheNameMeantThen(t *testing.T) {
	t.Parallel()
	h := up(t)
	build := func(version string) {
		h.write(t, "img/Dockerfile", "FROM app:1\nENV VERSION="+version+"\n")
		h.must(t, "image", "build", "-t", "moving:1", h.work+"/img")
	}
	const compose = "services: {web: {image: 'moving:1', ports: ['18051:8080']}}"
	build("first")
	h.apply(t, "moving", compose)
	build("second")
	h.apply(t, "moving", compose)
	h.answers(t, "http://127.0.0.1:18051/", "second")
	h.must(t, "rollback", "moving.web", "r1")
	h.answers(t, "http://127.0.0.1:18051/", "first")
	all := h.rollouts(t, "moving.web")
	if len(all) != 3 || all[0].ImageID != all[2].ImageID || all[0].ImageID == all[1].ImageID || all[0].Image != "moving:1" {
		t.Errorf("history: %+v", all)
	}
	has(t, "plan", h.must(t, "plan", "-f", h.work+"/moving/compose.yml", "-p", "moving"), "update", "image content")
}

func TestRollbackOfAWriterKeepsItsData(t *testing.T) {
	t.Parallel()
	h := up(t)
	const compose = `
services:
  db:
    image: app:1
    volumes: ["data:/data", "./a.conf:/a.conf:ro"]
    environment: {WRITE: /data/log, VERSION: %s}
volumes: {data: {}}
`
	h.write(t, "kept/a.conf", "first")
	h.apply(t, "kept", fmt.Sprintf(compose, "v1"))
	h.write(t, "kept/a.conf", "second")
	h.apply(t, "kept", fmt.Sprintf(compose, "v2"))
	has(t, "rollback", h.must(t, "rollback", "kept.db", "--to", "r1"), "stops the old one first")
	if text := h.must(t, "exec", "kept.db", "--", "/app", "cat", "/data/log"); strings.Count(text, "v1") != 2 || strings.Count(text, "v2") != 1 {
		t.Errorf("the volume holds %q", text)
	}
	has(t, "the file", h.must(t, "exec", "kept.db", "--", "/app", "cat", "/a.conf"), "first")
}

func TestScaleIsNoRollout(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "many", fmt.Sprintf(web, "v1", 18052, 1))
	for _, n := range []int{3, 1} {
		h.must(t, "scale", fmt.Sprintf("many.web=%d", n))
		lab.Eventually(t, fmt.Sprintf("%d containers", n), func(ctx context.Context) error {
			s, err := h.service(ctx, "many.web")
			running := 0
			for _, task := range s.Tasks {
				if task.State == "running" {
					running++
				}
			}
			if err == nil && (s.Replicas != n || s.Healthy != n || running != n || s.Rollout != 1) {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
	}
	h.must(t, "scale", "many.web", "0")
	if s, err := h.service(t.Context(), "many.web"); err != nil || s.State != "idle" {
		t.Errorf("%+v, %v", s, err)
	}
	if r := h.run(t, "scale", "many.web=65"); r.code != 3 {
		t.Errorf("past the bound: exit code %d\n%s", r.code, r.errs)
	}
	h.must(t, "scale", "many.web=1")
	h.answers(t, "http://127.0.0.1:18052/", "v1")
}
