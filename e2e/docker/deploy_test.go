package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"havre/internal/lab"
)

const web = `
services:
  web:
    image: app:1
    environment: {VERSION: %s}
    ports: ["%d:8080"]
    deploy: {replicas: %d}
`

func TestDeployedServiceAnswersOnItsPort(t *testing.T) {
	t.Parallel()
	h := up(t)
	out := h.apply(t, "one", fmt.Sprintf(web, "v1", 18001, 2))
	has(t, "apply", out, "web", "healthy")
	h.answers(t, "http://127.0.0.1:18001/", "v1")
	s, err := h.service(t.Context(), "one.web")
	if err != nil || s.Healthy != 2 || s.State != "healthy" {
		t.Errorf("ps: %+v, %v", s, err)
	}
}

func TestAppliedTwiceIsOnce(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "twice", fmt.Sprintf(web, "v1", 18002, 1))
	before, _ := h.container(t, "twice.web")
	out := h.apply(t, "twice", fmt.Sprintf(web, "v1", 18002, 1))
	has(t, "the second apply", out, "nothing")
	if after, _ := h.container(t, "twice.web"); after.Container != before.Container {
		t.Errorf("another container runs: %s in place of %s", after.Container, before.Container)
	}
}

func TestUpdateReplacesTheOldOne(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "update", fmt.Sprintf(web, "v1", 18003, 1))
	h.answers(t, "http://127.0.0.1:18003/", "v1")
	h.apply(t, "update", fmt.Sprintf(web, "v2", 18003, 1))
	h.answers(t, "http://127.0.0.1:18003/", "v2")
	lab.Eventually(t, "the old container to go", func(ctx context.Context) error {
		s, err := h.service(ctx, "update.web")
		if err == nil && (s.Rollout != 2 || len(s.Tasks) != 1) {
			err = fmt.Errorf("%+v", s)
		}
		return err
	})
}

func TestFailedUpdateLeavesTheOldOneServing(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "broken", fmt.Sprintf(web, "v1", 18004, 1))
	file := h.write(t, "broken/compose.yml", fmt.Sprintf(web, "v2, CRASH: '3', PRINT: 'no licence'", 18004, 1))
	r := h.run(t, "apply", "-f", file, "-p", "broken", "--yes")
	if r.code != 1 {
		t.Errorf("exit code %d, want 1\n%s%s", r.code, r.out, r.errs)
	}
	has(t, "apply", r.out+r.errs, "exited with code 3", "no licence", "havre why")
	h.answers(t, "http://127.0.0.1:18004/", "v1")
	has(t, "why", h.must(t, "why", "broken.web"), "exited with code 3", "no licence")
}

func TestRemovedProjectLeavesNothing(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "gone", `
services:
  db:
    image: app:1
    volumes: ["data:/data"]
    environment: {WRITE: /data/log}
volumes: {data: {}}
`)
	has(t, "rm", h.must(t, "rm", "gone/", "--yes"), "data")
	if left := h.world.Docker(t, "ps", "-aq", "--filter", "label=havre.project"); strings.Contains(left, "gone") {
		t.Errorf("left: %s", left)
	}
	h.apply(t, "gone", `
services:
  db:
    image: app:1
    volumes: ["data:/data"]
    environment: {WRITE: /data/log}
volumes: {data: {}}
`)
	if text := h.must(t, "exec", "gone.db", "--", "/app", "cat", "/data/log"); strings.Count(text, "v1") != 2 {
		t.Errorf("the volume of a removed project must be found again, it holds %q", text)
	}
	has(t, "rm --volumes", h.must(t, "rm", "gone/", "--volumes", "--yes"), "volume")
	entries, err := os.ReadDir(h.data + "/volume/prod")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if names, _ := os.ReadDir(h.data + "/volume/prod/" + e.Name()); len(names) > 0 {
			t.Logf("volumes of other projects: %s %v", e.Name(), names)
		}
	}
	if r := h.run(t, "why", "gone.db"); r.code != 4 {
		t.Errorf("exit code %d, want 4", r.code)
	}
}

func TestDataIsSeededOwnedAndKept(t *testing.T) {
	t.Parallel()
	h := up(t)
	dir := h.work + "/img"
	h.write(t, "img/seed.txt", "from the image")
	h.write(t, "img/Dockerfile", "FROM app:1\nCOPY seed.txt /data/seed.txt\nUSER 4711:4712\nVOLUME /vol/rw\nVOLUME /data\n")
	h.must(t, "image", "build", "-t", "seeded:1", dir)
	h.apply(t, "seeded", "services: {s: {image: 'seeded:1', environment: {WRITE: /vol/rw/log}}}")
	has(t, "the seeded volume", h.must(t, "exec", "seeded.s", "--", "/app", "cat", "/data/seed.txt"), "from the image")
	for line := range strings.Lines(h.must(t, "exec", "seeded.s", "--", "/app", "cat", "/proc/self/mountinfo")) {
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/data" && !(strings.Contains(f[5], "nosuid") && strings.Contains(f[5], "nodev")) {
			t.Errorf("the volume is not nosuid,nodev: %s", line)
		}
	}
	h.must(t, "restart", "seeded.s")
	if text := h.must(t, "exec", "seeded.s", "--", "/app", "cat", "/vol/rw/log"); strings.Count(text, "v1") != 2 {
		t.Errorf("the app's user must be able to write and a restart must keep it: %q", text)
	}
}

func TestFilesTravelWithTheProject(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.write(t, "files/site.conf", "hello from a file")
	h.apply(t, "files", "services: {s: {image: 'app:1', volumes: ['./site.conf:/etc/site.conf:ro']}}")
	has(t, "the file", h.must(t, "exec", "files.s", "--", "/app", "cat", "/etc/site.conf"), "hello from a file")
	h.write(t, "files/site.conf", "changed")
	h.apply(t, "files", "services: {s: {image: 'app:1', volumes: ['./site.conf:/etc/site.conf:ro']}}")
	has(t, "the file", h.must(t, "exec", "files.s", "--", "/app", "cat", "/etc/site.conf"), "changed")
}

func TestLinksTellNamesAndPorts(t *testing.T) {
	t.Parallel()
	h := up(t)
	deployment := `{"containers":[
		{"name":"back","count":1,"image":"app:1","publicports":[{"internal":8080,"external":0}]},
		{"name":"front","count":1,"image":"app:1","links":[{"to":"back"}],"publicports":[{"internal":8080,"external":18005}]}]}`
	file := h.write(t, "linked.json", deployment)
	h.removeLater(t, "linked")
	h.must(t, "apply", "-f", file, "--yes")
	has(t, "the environment", h.must(t, "exec", "linked.front", "--", "/app", "env"),
		"BACK_PORT_8080_TCP_ADDR=back", "BACK_PORT_8080_TCP_PORT=8080", "BACK_PORT=tcp://back:8080")
	has(t, "a dial by name", h.must(t, "exec", "linked.front", "--", "/app", "dial", "back:8080"), "ok")
	s, err := h.service(t.Context(), "linked.back")
	if err != nil || len(s.Ports) != 1 || !strings.HasPrefix(s.Ports[0], "4") {
		t.Errorf("a port that Havre chooses: %v, %v", s.Ports, err)
	}
	chosen := s.Ports
	h.must(t, "stop", "linked.back")
	h.must(t, "start", "linked.back")
	h.write(t, "linked.json", strings.Replace(deployment, `"name":"back",`, `"name":"back","environment":[{"name":"A","value":"b"}],`, 1))
	h.must(t, "apply", "-f", file, "--yes")
	has(t, "the updated environment", h.must(t, "exec", "linked.back", "--", "/app", "env"), "A=b")
	if s, err := h.service(t.Context(), "linked.back"); err != nil || len(s.Ports) != 1 || s.Ports[0] != chosen[0] {
		t.Errorf("it must stay with its service: %v then %v, %v", chosen, s.Ports, err)
	}
}

func TestMistakesAreFoundAllAtOnceAndChangeNothing(t *testing.T) {
	t.Parallel()
	h := up(t)
	file := h.write(t, "bad/compose.yml", "services:\n  web:\n    image: app:1\n    privileged: true\n    enviroment: {A: b}\n    volumes: ['/etc:/etc']\n")
	r := h.run(t, "apply", "-f", file, "-p", "bad", "--yes")
	if r.code != 2 {
		t.Errorf("exit code %d, want 2", r.code)
	}
	has(t, "apply", r.errs, "compose.yml:4", "privileged", "compose.yml:5", "environment", "compose.yml:6", "/etc")
	if r := h.run(t, "ps", "-o", "json"); strings.Contains(r.out, `"bad"`) {
		t.Errorf("something was made: %s", r.out)
	}
	h.removeLater(t, "absent") // it is remembered why it could not be pulled
	missing := h.run(t, "apply", "-f", h.write(t, "absent/compose.yml", "services: {web: {image: 'nowhere:1'}}"), "-p", "absent", "--yes")
	if missing.code == 0 || !strings.Contains(missing.errs, "nowhere:1") || !strings.Contains(missing.errs, "havre image") {
		t.Errorf("a missing image: code %d, %s", missing.code, missing.errs)
	}
}

func TestPlanIsShownAndNothingIsDone(t *testing.T) {
	t.Parallel()
	h := up(t)
	file := h.write(t, "plan/compose.yml", fmt.Sprintf(web, "v1", 18006, 1))
	var plan struct {
		Changes []struct{ Verb, Service string }
	}
	if err := json.Unmarshal([]byte(h.must(t, "plan", "-f", file, "-p", "plan", "-o", "json")), &plan); err != nil || len(plan.Changes) != 1 || plan.Changes[0].Verb != "create" {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	if r := h.run(t, "ps", "-o", "json"); strings.Contains(r.out, `"plan"`) {
		t.Error("plan made something")
	}
}
