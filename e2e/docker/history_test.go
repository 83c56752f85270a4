package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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

// Two that write to one volume ruin it: the program of the test takes a lock
// and leaves a trace when another one has it.
func TestWritersAreSeveralOnlyWhereTheyMay(t *testing.T) {
	t.Parallel()
	h := up(t)
	const compose = `
services:
  db:
    image: app:1
    environment: {VERSION: v1, LOCK: /data/lock, WRITE: /data/log, IGNORE_TERM: '1'}
    stop_grace_period: 2s
    volumes: ["data:/data"]
    scale: %d
    x-havre: {volumes: %s}
volumes: {data: {}}
`
	h.apply(t, "writers", fmt.Sprintf(compose, 1, "null"))
	if r := h.run(t, "scale", "writers.db=2"); r.code != 2 || !strings.Contains(r.errs, "2 containers of db would write to the same data") {
		t.Errorf("scale without a word: %d %s", r.code, r.errs)
	}
	file := h.write(t, "writers/two.yml", fmt.Sprintf(compose, 2, "null"))
	if r := h.run(t, "apply", "-f", file, "-p", "writers", "--yes"); r.code != 2 || !strings.Contains(r.errs, "2 containers of db would write to the same data") {
		t.Errorf("a file without a word: %d %s", r.code, r.errs)
	}
	free := strings.Replace(compose, "LOCK: /data/lock, ", "", 1)
	h.apply(t, "writers", fmt.Sprintf(free, 2, "shared"))
	if s, err := h.service(t.Context(), "writers.db"); err != nil || s.Healthy != 2 {
		t.Errorf("two that may write: %+v, %v", s, err)
	}
	before := h.alive(t, "writers.db")
	h.must(t, "scale", "writers.db=1")
	after := h.alive(t, "writers.db")
	if len(before) != 2 || len(after) != 1 || slices.Contains(before, after[0]) {
		t.Errorf("%v, then %v: the one that is left has not started in an empty place", before, after)
	}
	h.must(t, "stop", "writers.db")
	h.apply(t, "writers", fmt.Sprintf(compose, 1, "null"))
	h.must(t, "stop", "writers.db")
	h.must(t, "start", "writers.db")
	if text := h.must(t, "exec", "writers.db", "--", "/app", "ls", "/data"); strings.Contains(text, "lock.broken") {
		t.Errorf("two wrote at once: %s", text)
	}
}

// alive are the containers of a service that run.
func (h *havre) alive(t *testing.T, name string) (ids []string) {
	t.Helper()
	s, err := h.service(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range s.Tasks {
		if task.State == "running" {
			ids = append(ids, task.Container)
		}
	}
	return ids
}
