package docker_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"havre/internal/lab"
)

func TestLogsMergeAllReplicasInOrderOfTime(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "talks", "services: {s: {image: 'app:1', environment: {PRINT: tick, PRINT_EVERY: 300ms}, deploy: {replicas: 2}}}")
	var lines []string
	lab.Eventually(t, "both replicas to have printed", func(context.Context) error {
		lines = strings.Split(strings.TrimSpace(h.must(t, "logs", "-t", "talks.s")), "\n")
		if len(lines) < 8 {
			return fmt.Errorf("%d lines", len(lines))
		}
		return nil
	})
	var last time.Time
	for _, line := range lines {
		_, line, _ = strings.Cut(line, " | ")
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			t.Fatalf("no time before %q: %v", line, err)
		}
		if at.Before(last.Truncate(time.Millisecond)) {
			t.Errorf("%s comes after %s", at, last)
		}
		last = at
	}
	if got := strings.Count(h.must(t, "logs", "--tail", "1", "talks.s"), "\n"); got != 2 {
		t.Errorf("--tail 1 of two replicas gives %d lines", got)
	}
	if old := h.must(t, "logs", "--since", last.Add(time.Hour).Format(time.RFC3339), "talks.s"); old != "" {
		t.Errorf("--since an hour ahead gives %q", old)
	}
}

func TestFollowedLogsGoOnWithTheNextContainer(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "goeson", "services: {s: {image: 'app:1', environment: {VERSION: v1, PRINT: born-v1}, ports: ['18250:8080']}}")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := h.command(ctx, "logs", "-f", "goeson.s")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 100)
	go func() {
		defer close(heard)
		for s := bufio.NewScanner(out); s.Scan(); {
			heard <- s.Text()
		}
	}()
	await := func(word string) {
		t.Helper()
		for {
			select {
			case line, more := <-heard:
				if !more {
					t.Fatalf("the log ended before %q", word)
				}
				if strings.Contains(line, word) {
					return
				}
			case <-ctx.Done():
				t.Fatalf("never heard %q", word)
			}
		}
	}
	await("born-v1")
	if _, err := h.get(ctx, "http://127.0.0.1:18250/print?arg=live-line"); err != nil {
		t.Fatal(err)
	}
	await("live-line")
	h.must(t, "restart", "goeson.s")
	await("born-v1")
	cancel()
	_ = cmd.Wait() // it was killed
}

func TestExecPassesInputOutputAndExitCode(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "inside", "services: {s: {image: 'app:1', user: '4711:4712', working_dir: /}}")
	if r := h.run(t, "exec", "inside.s", "--", "/app", "exit", "7"); r.code != 7 {
		t.Errorf("exit code %d, want 7", r.code)
	}
	has(t, "id", h.must(t, "exec", "inside.s", "--", "/app", "id"), "4711 4712")
	has(t, "id of another user", h.must(t, "exec", "-u", "1:2", "inside.s", "--", "/app", "id"), "1 2")
	has(t, "a variable", h.must(t, "exec", "-e", "A=b c", "inside.s", "--", "/app", "env", "A"), "b c")
	if r := h.run(t, "exec", "inside.s", "--", "/nowhere"); r.code != 126 && r.code != 127 {
		t.Errorf("a command that is not there: exit code %d", r.code)
	}
	if r := h.run(t, "exec", "nobody", "--", "/app", "id"); r.code != 125 {
		t.Errorf("no such service: exit code %d, want 125", r.code)
	}
	text := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	cmd := h.command(t.Context(), "exec", "-i", "inside.s", "--", "/app", "cat")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(out, text) {
		t.Errorf("1 MiB through cat: %d bytes, %v", len(out), err)
	}
}

func TestExecGivesATerminalOfTheRightSize(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "screen", "services: {s: {image: 'app:1'}}")
	// script(1) gives havre a terminal, stty its size.
	cmd := h.world.Command(t.Context(), "script", "-qec", "stty rows 33 cols 99; "+h.bin+" exec -i -t screen.s -- /app tty", "/dev/null")
	cmd.Env = append(os.Environ(), "HOME="+h.home)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "33") || !strings.Contains(string(out), "99") {
		t.Errorf("tty: %q, %v; want 33 and 99", out, err)
	}
}

func TestStoppedStaysStoppedUntilStarted(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "rests", fmt.Sprintf(web, "v1", 18251, 1))
	h.must(t, "stop", "rests.web")
	if s, err := h.service(t.Context(), "rests.web"); err != nil || s.State != "stopped" || len(s.Tasks) > 0 && s.Healthy > 0 {
		t.Errorf("after stop: %+v, %v", s, err)
	}
	h.whySays(t, "rests.web", "stopped", "havre start")
	h.must(t, "start", "rests.web")
	h.answers(t, "http://127.0.0.1:18251/", "v1")
}

func TestImagesAreListedLoadedAndNotRemovedWhileUsed(t *testing.T) {
	t.Parallel()
	h := up(t)
	archive := filepath.Join(h.work, "app.tar")
	h.world.Docker(t, "save", "-o", archive, "havre.invalid/prod/app:1")
	h.must(t, "image", "load", "-i", archive, "--name", "loaded:2")
	h.world.Docker(t, "tag", "havre.invalid/prod/app:1", "named:3")
	h.world.Docker(t, "save", "-o", archive, "named:3")
	h.must(t, "image", "load", "-i", archive)
	has(t, "image ls", h.must(t, "image", "ls"), "named:3")
	has(t, "image ls", h.must(t, "image", "ls"), "loaded:2", "app:1")
	h.apply(t, "uses", "services: {s: {image: 'loaded:2'}}")
	if r := h.run(t, "image", "rm", "loaded:2"); r.code == 0 || !strings.Contains(r.errs, "uses.s") {
		t.Errorf("an image in use was removed: %d %s", r.code, r.errs)
	}
	if out := h.must(t, "image", "ls", "-o", "name"); strings.Contains(out, "by-id") {
		t.Errorf("what only Havre needs is listed: %s", out)
	}
}

func TestOldImageOfAServiceStaysWhenItsNameMovesOn(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.write(t, "img/Dockerfile", "FROM app:1\nENV VERSION=one\n")
	h.must(t, "image", "build", "-t", "shifting:1", filepath.Join(h.work, "img"))
	h.apply(t, "shifting", "services: {s: {image: 'shifting:1', ports: ['18252:8080'], volumes: ['kept:/data']}}\nvolumes: {kept: {}}")
	h.write(t, "img/Dockerfile", "FROM app:1\nENV VERSION=two\n")
	h.must(t, "image", "build", "-t", "shifting:1", filepath.Join(h.work, "img"))
	h.must(t, "stop", "shifting.s")
	h.must(t, "start", "shifting.s")
	h.answers(t, "http://127.0.0.1:18252/", "one")
}

func TestAllOfHavreIsSmall(t *testing.T) {
	t.Parallel()
	h := up(t)
	total := 0
	for _, role := range []string{"up", "guard", "server", "ingress"} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(h.pid(t, role)), "smaps_rollup"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var kib int
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
				total += kib
			}
		}
	}
	if total > 64<<10 {
		t.Errorf("all processes take %d KiB, more than 64 MiB", total)
	}
	t.Logf("proportional set size of all processes: %d KiB", total)
}

// statusFrom asks for a page from inside a container's network.
func (h *havre) statusFrom(t *testing.T, service, host, url string) string {
	t.Helper()
	s, err := h.service(t.Context(), service)
	if err != nil {
		t.Fatal(err)
	}
	pid := h.world.Docker(t, "inspect", "-f", "{{.State.Pid}}", s.Tasks[0].Container)
	out, _ := exec.CommandContext(t.Context(), "nsenter", "-t", pid, "-n", "curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: "+host, url).Output()
	return string(out)
}
