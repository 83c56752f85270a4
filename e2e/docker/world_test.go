// Package docker_test holds Havre to its promises on a real engine: the real
// program, started as people start it, in a world of its own.
package docker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/lab"
)

var shared lab.Shared

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

// havre is one Havre in a world, and a person's home.
type havre struct {
	world *lab.World
	bin   string
	data  string
	home  string
	work  string
}

var program = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("HAVRE_BIN"); bin != "" {
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "havre-bin-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the roles run as users of their own
		return "", err
	}
	// World.Close ends what runs from it; a few megabytes stay in the temporary directory.
	out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "havre"), "havre/cmd/havre").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build havre: %w\n%s", err, out)
	}
	return filepath.Join(dir, "havre"), nil
})

var sharedHavre struct {
	once sync.Once
	h    *havre
}

// up gives the Havre that tests share which do not break it.
func up(t *testing.T) *havre {
	t.Helper()
	w := shared.World(t)
	sharedHavre.once.Do(func() { sharedHavre.h = start(t, w, w.Dir) })
	if sharedHavre.h == nil {
		t.Fatal("the shared Havre did not start; see the first test")
	}
	h := *sharedHavre.h
	h.work = t.TempDir()
	return &h
}

// alone gives a Havre that the test may break, in a world of its own.
func alone(t *testing.T) *havre {
	t.Helper()
	w := lab.Engine(t)
	h := start(t, w, w.Dir)
	h.work = t.TempDir()
	return h
}

func start(t *testing.T, w *lab.World, dir string) *havre {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	h := &havre{world: w, bin: bin, data: filepath.Join(dir, "havre"), home: filepath.Join(dir, "home"), work: t.TempDir()}
	if err := os.MkdirAll(h.home, 0o700); err != nil {
		t.Fatal(err)
	}
	h.must(t, "up", "--detach", "--data", h.data, "--engine", w.Socket)
	h.buildApp(t)
	return h
}

// buildApp makes the image app:1 of the lab's little server.
func (h *havre) buildApp(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(h.world.App(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	h.write(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nCOPY app /app\nEXPOSE 8080\nENTRYPOINT [\"/app\"]\n")
	h.must(t, "image", "build", "-t", "app:1", dir)
}

func (h *havre) write(t *testing.T, file, text string) string {
	t.Helper()
	if !filepath.IsAbs(file) {
		file = filepath.Join(h.work, file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// command is havre as a person would call it.
func (h *havre) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := h.world.Command(ctx, h.bin, args...)
	cmd.Env = append(os.Environ(), "HOME="+h.home, "HAVRE_URL=", "HAVRE_TOKEN=", "HAVRE_ENV=")
	cmd.Dir = h.work
	return cmd
}

// result is how a command ended.
type result struct {
	out, errs string
	code      int
}

func (h *havre) run(t *testing.T, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := h.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("havre %s: %v", strings.Join(args, " "), err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed, and gives its output.
func (h *havre) must(t *testing.T, args ...string) string {
	t.Helper()
	r := h.run(t, args...)
	if r.code != 0 {
		t.Fatalf("havre %s: exit code %d\n%s%s\n%s", strings.Join(args, " "), r.code, r.out, r.errs, h.logs())
	}
	return r.out
}

// logs are the last lines of the roles, for a failure's sake.
func (h *havre) logs() string {
	var all strings.Builder
	for _, role := range []string{"server", "guard", "ingress"} {
		text, err := os.ReadFile(filepath.Join(h.data, "log", role+".log"))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&all, "-- %s\n%s\n", role, strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
	return all.String()
}

// apply applies a Compose file as a project of that name, and takes it away at
// the end of the test.
func (h *havre) apply(t *testing.T, project, compose string) string {
	t.Helper()
	file := h.write(t, project+"/compose.yml", compose)
	h.removeLater(t, project)
	return h.must(t, "apply", "-f", file, "-p", project, "--yes")
}

func (h *havre) removeLater(t *testing.T, project string) {
	t.Helper()
	t.Cleanup(func() {
		cmd := h.command(context.Background(), "rm", project+"/", "--volumes", "--yes")
		if out, err := cmd.CombinedOutput(); err != nil && cmd.ProcessState.ExitCode() != 4 {
			t.Errorf("remove project %s: %v\n%s", project, err, out)
		}
	})
}

// service asks how a service is.
func (h *havre) service(ctx context.Context, name string) (api.Service, error) {
	out, err := h.command(ctx, "ps", "-o", "json").Output()
	if err != nil {
		return api.Service{}, fmt.Errorf("ps: %w", err)
	}
	var all []api.Service
	if err := json.Unmarshal(out, &all); err != nil {
		return api.Service{}, err
	}
	i := slices.IndexFunc(all, func(s api.Service) bool { return s.Project+"."+s.Name == name })
	if i < 0 {
		return api.Service{}, fmt.Errorf("no service %s in %s", name, out)
	}
	return all[i], nil
}

// get asks over HTTP from inside the world.
func (h *havre) get(ctx context.Context, url string) (string, error) {
	return ask(ctx, h.world.Dial, url)
}

func ask(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), url string) (string, error) {
	web := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := web.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, resp.Status, text)
	}
	return strings.TrimSpace(string(text)), err
}

// answers waits until url says want.
func (h *havre) answers(t *testing.T, url, want string) {
	t.Helper()
	lab.Eventually(t, url+" to answer "+want, func(ctx context.Context) error {
		got, err := h.get(ctx, url)
		if err == nil && got != want {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
}

// pid is a role's process.
func (h *havre) pid(t *testing.T, role string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(h.data, "run", "pid", role))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(text))[0])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func has(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}

func containsFold(text, word string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(word))
}
