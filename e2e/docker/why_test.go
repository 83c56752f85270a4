package docker_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"havre/internal/lab"
)

// whySays waits until why says all the words.
func (h *havre) whySays(t *testing.T, name string, words ...string) {
	t.Helper()
	lab.Eventually(t, "why "+name+" to name the reason", func(ctx context.Context) error {
		out, err := h.command(ctx, "why", name).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		for _, w := range words {
			if !containsFold(string(out), w) {
				return fmt.Errorf("no %q in: %s", w, out)
			}
		}
		return nil
	})
}

// applyBadly applies what cannot get healthy.
func (h *havre) applyBadly(t *testing.T, project, compose string) result {
	t.Helper()
	file := h.write(t, project+"/compose.yml", compose)
	h.removeLater(t, project)
	r := h.run(t, "apply", "-f", file, "-p", project, "--yes")
	if r.code != 1 {
		t.Errorf("apply: exit code %d, want 1\n%s%s", r.code, r.out, r.errs)
	}
	return r
}

func TestWhyNamesACrashLoopAndItsLastLines(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.applyBadly(t, "loop", "services: {s: {image: 'app:1', environment: {CRASH: '3', PRINT: 'cannot open the ledger'}}}")
	h.whySays(t, "loop.s", "exited with code 3", "cannot open the ledger", "havre logs")
}

func TestWhyNamesMemory(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.applyBadly(t, "greedy", "services: {s: {image: 'app:1', mem_limit: 16m, environment: {ALLOCATE: '64'}}}")
	h.whySays(t, "greedy.s", "memory", "OOM")
}

func TestWhyNamesAFailingHealthCheckAndItsOutput(t *testing.T) {
	t.Parallel()
	h := up(t)
	r := h.applyBadly(t, "ill", `
services:
  s:
    image: app:1
    environment: {UNHEALTHY: "1"}
    healthcheck: {test: [CMD, /app, healthcheck], interval: 1s, retries: 2, timeout: 2s, start_period: 1s}
`)
	has(t, "apply", r.out+r.errs, "health check")
	h.whySays(t, "ill.s", "health check", "503")
}

func TestWhyNamesWhoHasThePort(t *testing.T) {
	t.Parallel()
	h := up(t)
	l, err := h.world.Listen(t.Context(), "tcp", "0.0.0.0:18010")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := h.write(t, "port/compose.yml", fmt.Sprintf(web, "v1", 18010, 1))
	r := h.run(t, "apply", "-f", file, "-p", "port", "--yes")
	if r.code == 0 {
		t.Error("a taken port must be refused before anything is made")
	}
	has(t, "apply", r.errs, "18010", "docker.test", "--port-offset")
}

func TestWhyNamesAPortThatWasTakenLater(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.apply(t, "port", fmt.Sprintf(web, "v1", 18254, 1))
	h.must(t, "stop", "port.web")
	var l net.Listener
	lab.Eventually(t, "the port to be free", func(ctx context.Context) (err error) {
		l, err = h.world.Listen(ctx, "tcp", "0.0.0.0:18254")
		return err
	})
	defer l.Close()
	if r := h.run(t, "start", "port.web"); r.code != 1 {
		t.Errorf("exit code %d, want 1: %s%s", r.code, r.out, r.errs)
	}
	h.whySays(t, "port.web", "18254", "docker.test")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h.answers(t, "http://127.0.0.1:18254/", "v1")
}

func TestWhyNamesWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	h := up(t)
	file := h.write(t, "waits/compose.yml", `
services:
  web:
    image: app:1
    depends_on: {db: {condition: service_healthy}}
  db:
    image: app:1
    environment: {UNHEALTHY: "1"}
    healthcheck: {test: [CMD, /app, healthcheck], interval: 1s, retries: 60, timeout: 2s}
`)
	h.removeLater(t, "waits")
	cmd := h.command(t.Context(), "apply", "-f", file, "-p", "waits", "--yes")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.whySays(t, "waits.web", "waits for db", "healthy")
	_ = cmd.Process.Kill() // it would wait for db much longer
	_ = cmd.Wait()
}

func TestDependenciesStartInOrder(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "order", `
services:
  web:
    image: app:1
    depends_on: {db: {condition: service_healthy}, init: {condition: service_completed_successfully}}
  db:
    image: app:1
    environment: {START_DELAY: 2s}
    healthcheck: {test: [CMD, /app, healthcheck], interval: 1s, retries: 30, timeout: 2s}
  init:
    image: app:1
    command: [print, done]
    restart: "no"
`)
	for _, name := range []string{"order.web", "order.db", "order.init"} {
		s, err := h.service(t.Context(), name)
		if err != nil || s.State != "healthy" && s.State != "completed" {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	db, _ := h.service(t.Context(), "order.db")
	webs, _ := h.service(t.Context(), "order.web")
	if !webs.Since.After(db.Since) {
		t.Errorf("web runs since %s, before db was healthy at %s", webs.Since, db.Since)
	}
}

// A published file's check says nothing of how long the app takes to start:
// Compose ends nothing for it.
func TestSlowStartIsWaitedForWhateverItsCheckSays(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "slow", `
services:
  web:
    image: app:1
    environment: {START_DELAY: 15s}
    healthcheck: {test: [CMD, /app, healthcheck], interval: 1s, timeout: 1s, retries: 2}
`)
	if s, err := h.service(t.Context(), "slow.web"); err != nil || s.State != "healthy" || s.Restarts != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
