// Package bench_test measures Havre beside the programs that people would use
// instead, in one world, in turns, on the same containers. "make bench" runs
// it and writes docs/reference/benchmarks.md; nothing here asserts a time.
package bench_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/lab"
)

// rounds is how often each side of a pair is measured; the median counts.
const rounds = 5

// havre is a Havre in a world of its own.
type havre struct {
	world *lab.World
	bin   string
	home  string
}

// start gives a world with Havre and the image bench:1, which has all peers.
func start(b *testing.B) *havre {
	b.Helper()
	bin := os.Getenv("HAVRE_BIN")
	if bin == "" {
		b.Fatal("HAVRE_BIN is not set; run it by: make bench")
	}
	w := lab.Engine(b)
	h := &havre{world: w, bin: bin, home: w.Dir}
	h.must(b, "up", "--detach", "--data", h.data(), "--engine", w.Socket)
	return h
}

func (h *havre) data() string { return filepath.Join(h.home, "havre") }

func (h *havre) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := h.world.Command(ctx, h.bin, args...)
	cmd.Env = append(os.Environ(), "HOME="+h.home, "HAVRE_URL=", "HAVRE_TOKEN=", "HAVRE_ENV=")
	return cmd
}

func (h *havre) must(b *testing.B, args ...string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 15*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := h.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		b.Fatalf("havre %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// apply declares a project by the text of its file.
func (h *havre) apply(b *testing.B, project, compose string) {
	b.Helper()
	h.must(b, "apply", "-f", h.file(b, project+".yml", compose), "-p", project, "--yes")
}

func (h *havre) file(b *testing.B, name, text string) string {
	b.Helper()
	file := filepath.Join(h.home, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return file
}

// app makes the image app:1 of the lab's little server.
func (h *havre) app(b *testing.B) {
	b.Helper()
	text, err := os.ReadFile(h.world.App(b))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app"), text, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	h.must(b, "image", "build", "-t", "app:1", dir)
}

// get asks once, on a connection of its own.
func (h *havre) get(ctx context.Context, port int) error {
	web := &http.Client{Transport: &http.Transport{DialContext: h.world.Dial, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/", h.world.Address, port), nil)
	if err != nil {
		return err
	}
	answer, err := web.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("port %d: %s", port, answer.Status)
	}
	return nil
}

// untilAll waits until all ports answer; both sides of a pair are asked so.
func (h *havre) untilAll(b *testing.B, ports []int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	var waiting sync.WaitGroup
	last := make([]error, len(ports))
	for i, port := range ports {
		waiting.Go(func() {
			for ctx.Err() == nil {
				if err := h.get(ctx, port); err == nil || ctx.Err() == nil {
					last[i] = err
				}
				if last[i] == nil {
					return
				}
				pause(ctx, 5*time.Millisecond)
			}
		})
	}
	waiting.Wait()
	if err := errors.Join(last...); err != nil {
		b.Fatalf("not all of %d ports answered: %v", len(ports), err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// processes are the numbers of all of Havre's processes, portals included.
func (h *havre) processes(b *testing.B) map[string][]int {
	b.Helper()
	found := map[string][]int{}
	for _, role := range []string{"guard", "server", "ingress"} {
		text, err := os.ReadFile(filepath.Join(h.data(), "run", "pid", role))
		if err != nil {
			b.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.Fields(string(text))[0])
		if err != nil {
			b.Fatal(err)
		}
		found[role] = append(found[role], pid)
		if role == "guard" {
			found["up"] = append(found["up"], parent(b, pid))
		}
	}
	for id := range strings.FieldsSeq(h.world.Docker(b, "ps", "-q", "--filter", "label=havre.kind=portal")) {
		pid, err := strconv.Atoi(h.world.Docker(b, "inspect", "-f", "{{.State.Pid}}", id))
		if err != nil {
			b.Fatal(err)
		}
		found["portal"] = append(found["portal"], pid)
	}
	return found
}

func parent(b *testing.B, pid int) int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if number, ok := strings.CutPrefix(line, "PPid:"); ok {
			if n, err := strconv.Atoi(strings.TrimSpace(number)); err == nil {
				return n
			}
		}
	}
	b.Fatalf("process %d has no parent", pid)
	return 0
}
