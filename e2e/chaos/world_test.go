// Package chaos_test kills at random what Havre is made of while it works, and
// looks whether exactly what was applied runs afterwards.
package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"havre/internal/lab"
)

// havre is a Havre in a world that may be broken.
type havre struct {
	world *lab.World
	bin   string
	dir   string
}

func start(t *testing.T) *havre {
	t.Helper()
	w := lab.Engine(t)
	h := &havre{world: w, bin: os.Getenv("HAVRE_BIN"), dir: w.Dir}
	if h.bin == "" {
		h.bin = filepath.Join(t.TempDir(), "havre")
		if out, err := exec.Command("go", "build", "-o", h.bin, "havre/cmd/havre").CombinedOutput(); err != nil {
			t.Fatalf("build havre: %v\n%s", err, out)
		}
	}
	h.must(t, "up", "--detach", "--data", h.data(), "--engine", w.Socket)
	image := t.TempDir()
	app, err := os.ReadFile(w.App(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(image, "app"), app, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(image, "Dockerfile"), []byte("FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n"), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.must(t, "image", "build", "-t", "app:1", image)
	return h
}

func (h *havre) data() string { return filepath.Join(h.dir, "havre") }

func (h *havre) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := h.world.Command(ctx, h.bin, args...)
	cmd.Env = append(os.Environ(), "HOME="+h.dir, "HAVRE_URL=", "HAVRE_TOKEN=", "HAVRE_ENV=")
	return cmd
}

func (h *havre) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, err := h.command(ctx, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("havre %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func (h *havre) must(t *testing.T, args ...string) {
	t.Helper()
	if _, err := h.run(args...); err != nil {
		t.Fatal(err)
	}
}

// signal ends a role like a crash.
func (h *havre) signal(role string) error {
	pid, err := h.pid(role)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

func (h *havre) pid(role string) (int, error) {
	text, err := os.ReadFile(filepath.Join(h.data(), "run", "pid", role))
	if err != nil {
		return 0, err
	}
	if len(strings.Fields(string(text))) == 0 {
		return 0, fmt.Errorf("%s has no number", role)
	}
	return strconv.Atoi(strings.Fields(string(text))[0])
}

// containers lists the running ones of a kind.
func (h *havre) containers(ctx context.Context, kind string) ([]string, error) {
	return h.lines(ctx, "ps", "-q", "--filter", "label=havre.kind="+kind)
}

func (h *havre) lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := h.world.Ask(ctx, args...)
	return strings.Fields(out), err
}

// listens lists the TCP ports on which the ingress listens.
func (h *havre) listens() (map[int]bool, error) {
	pid, err := h.pid("ingress")
	if err != nil {
		return nil, err
	}
	ports := map[int]bool{}
	for _, file := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != "0A" { // TCP_LISTEN of linux/tcp_states.h
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseInt(hex, 16, 32); err == nil && n >= firstPort && n < firstPort+100 {
				ports[int(n)] = true
			}
		}
	}
	return ports, nil
}

func (h *havre) get(ctx context.Context, port int, path string) (string, error) {
	web := &http.Client{Transport: &http.Transport{DialContext: h.world.Dial, DisableKeepAlives: true}, Timeout: 40 * time.Second}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return "", err
	}
	answer, err := web.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(text)), err
}

// visitors use a service all the time, and count.
type visitors struct {
	stop  context.CancelFunc
	gone  sync.WaitGroup
	count atomic.Int64
	first atomic.Pointer[string] // failure
}

func (h *havre) visit(port int) *visitors {
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitors{stop: cancel}
	v.gone.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			v.count.Add(1)
			if got, err := h.get(context.Background(), port, "/"); err != nil || got != "stable" {
				says := fmt.Sprintf("%q, %v", got, err)
				v.first.CompareAndSwap(nil, &says)
			}
		}
	})
	return v
}

// end gives how many visits there were, and how the first one failed that did.
func (v *visitors) end() (int64, string) {
	v.stop()
	v.gone.Wait()
	if says := v.first.Load(); says != nil {
		return v.count.Load(), *says
	}
	return v.count.Load(), ""
}
