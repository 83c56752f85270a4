package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"havre/internal/lab"
)

// healthy waits until the API answers and a service is well.
func (h *havre) healthy(t *testing.T, name string) {
	t.Helper()
	lab.Eventually(t, name+" to be healthy", func(ctx context.Context) error {
		s, err := h.service(ctx, name)
		if err == nil && s.State != "healthy" {
			err = fmt.Errorf("%s: %s", s.State, s.Says)
		}
		return err
	})
}

func TestKilledProcessesComeBackAndServicesGoOn(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.apply(t, "kept", fmt.Sprintf(web, "v1", 18020, 2))
	before := h.world.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=havre.kind=service")
	for _, role := range []string{"server", "guard", "ingress", "up"} {
		t.Run(role, func(t *testing.T) {
			pid := h.pid(t, role)
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if role != "ingress" {
				if got, err := h.get(t.Context(), "http://127.0.0.1:18020/"); err != nil || got != "v1" {
					t.Errorf("while %s is gone: %q, %v", role, got, err)
				}
			}
			if role == "up" {
				h.must(t, "up", "--detach", "--data", h.data)
			}
			lab.Eventually(t, role+" to be back", func(context.Context) error {
				if now := h.pid(t, role); now == pid {
					return errors.New("not yet")
				}
				return nil
			})
			h.answers(t, "http://127.0.0.1:18020/", "v1")
			h.healthy(t, "kept.web")
		})
	}
	if after := h.world.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=havre.kind=service"); after != before {
		t.Errorf("services were touched:\n%s\nto\n%s", before, after)
	}
}

func TestSupervisorAdoptsWhatStillRuns(t *testing.T) {
	t.Parallel()
	h := alone(t)
	var pids []int
	for _, role := range []string{"server", "guard", "ingress"} {
		pids = append(pids, h.pid(t, role))
	}
	if err := syscall.Kill(h.pid(t, "up"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.must(t, "up", "--detach", "--data", h.data)
	for i, role := range []string{"server", "guard", "ingress"} {
		if now := h.pid(t, role); now != pids[i] {
			t.Errorf("%s was started again: %d, then %d", role, pids[i], now)
		}
	}
	has(t, "up again", h.must(t, "up", "--detach", "--data", h.data), "was up already", "ready at")
}

// grant changes the guard's bounds as root would.
func (h *havre) grant(t *testing.T, was, is string) {
	t.Helper()
	file := filepath.Join(h.data, "guard", "bounds.json")
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), was) {
		t.Fatalf("the bounds are %s, %v", text, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), was, is, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDownLeavesServicesAndUpFindsThem(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.apply(t, "kept", fmt.Sprintf(web, "v1", 18021, 1))
	before := h.world.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=havre.kind=service")
	if r := h.run(t, "plan", "-f", h.write(t, "vpn/compose.yml", "services: {vpn: {image: 'app:1', cap_add: [NET_ADMIN]}}")); r.code != 3 || !strings.Contains(r.errs, "guard/bounds.json") {
		t.Errorf("a capability that nobody granted: %d %s", r.code, r.errs)
	}
	h.must(t, "down", "--data", h.data)
	for _, role := range []string{"server", "guard", "ingress", "up"} {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.pid(t, role))); err == nil && !strings.Contains(string(stat), ") Z ") {
			t.Errorf("%s still runs after down", role)
		}
	}
	if after := h.world.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=havre.kind=service"); after != before {
		t.Error("down must leave services running")
	}
	vpn := h.write(t, "vpn/compose.yml", "services: {vpn: {image: 'app:1', cap_add: [NET_ADMIN]}}")
	h.grant(t, `"capabilities": []`, `"capabilities": ["CAP_NET_ADMIN"]`)
	h.must(t, "up", "--detach", "--data", h.data)
	h.answers(t, "http://127.0.0.1:18021/", "v1")
	h.must(t, "apply", "-f", vpn, "--yes")
	has(t, "the rights of a service with a grant", h.must(t, "exec", "vpn.vpn", "--", "/app", "cat", "/proc/self/status"), "CapBnd:\t00000000a00415fb")
	h.must(t, "rm", "vpn/", "--yes")
	if after := h.world.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=havre.kind=service"); after != before {
		t.Error("up must find what runs")
	}
	h.must(t, "down", "--services", "--data", h.data)
	if after := h.world.Docker(t, "ps", "-q", "--filter", "label=havre.kind=service"); after != "" {
		t.Errorf("down --services left %s", after)
	}
	h.must(t, "up", "--detach", "--data", h.data)
	h.must(t, "start", "kept/")
	h.answers(t, "http://127.0.0.1:18021/", "v1")
}

func TestServicesComeBackAfterTheEngineDied(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.apply(t, "kept", fmt.Sprintf(web, "v1", 18022, 2))
	h.world.KillEngine(t)
	h.world.StartEngine(t)
	h.answers(t, "http://127.0.0.1:18022/", "v1")
	h.healthy(t, "kept.web")
	h.world.StopEngine(t)
	h.world.StartEngine(t)
	h.answers(t, "http://127.0.0.1:18022/", "v1")
	h.healthy(t, "kept.web")
}

func TestEverythingComesBackAfterAReboot(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.apply(t, "booted", "services: {s: {image: 'app:1', ports: ['18024:8080'], environment: {WRITE: /data/log}, volumes: ['kept:/data']}}\nvolumes:\n  kept:\n")
	h.world.Reboot(t)
	// The engine starts containers before the guard is there to mount volumes strictly.
	lab.Eventually(t, "the engine to start the container", func(ctx context.Context) error {
		out, err := h.world.Ask(ctx, "ps", "-q", "--filter", "label=havre.kind=service", "--filter", "status=running")
		if err == nil && out == "" {
			err = errors.New("none runs")
		}
		return err
	})
	h.must(t, "up", "--detach", "--data", h.data)
	h.answers(t, "http://127.0.0.1:18024/", "v1")
	lab.Eventually(t, "the volume to be nosuid and nodev", func(ctx context.Context) error {
		out, err := h.command(ctx, "exec", "booted.s", "--", "/app", "cat", "/proc/self/mountinfo").Output()
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 5 && f[4] == "/data" && strings.Contains(f[5], "nosuid") && strings.Contains(f[5], "nodev") {
				return nil
			}
		}
		return fmt.Errorf("%s", out)
	})
	h.healthy(t, "booted.s")
	if text := h.must(t, "exec", "booted.s", "--", "/app", "cat", "/data/log"); !strings.Contains(text, "v1") {
		t.Errorf("the volume holds %q", text)
	}
}

func TestKilledAppComesBack(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "dies", fmt.Sprintf(web, "v1", 18023, 1))
	if _, err := h.get(t.Context(), "http://127.0.0.1:18023/exit?arg=1"); err == nil {
		t.Error("the app should have died")
	}
	h.answers(t, "http://127.0.0.1:18023/", "v1")
}

func TestEachProcessHasTheRightsItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	h := up(t)
	for role, want := range map[string]struct {
		root bool
		caps string
	}{
		"guard":   {true, ""},
		"server":  {false, "0000000000000000"},
		"ingress": {false, "0000000000000400"}, // CAP_NET_BIND_SERVICE
	} {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(h.pid(t, role)), "status"))
		if err != nil {
			t.Fatal(err)
		}
		status := string(text)
		if root := strings.Contains(status, "\nUid:\t0\t"); root != want.root {
			t.Errorf("%s runs as root: %v", role, root)
		}
		for _, set := range []string{"CapPrm", "CapEff", "CapAmb", "CapBnd"} {
			if want.caps != "" && !strings.Contains(status, set+":\t"+want.caps) {
				t.Errorf("%s: %s is not %s:\n%s", role, set, want.caps, status)
			}
		}
		if want.caps != "" && !strings.Contains(status, "\nNoNewPrivs:\t1\n") {
			t.Errorf("%s may gain privileges:\n%s", role, status)
		}
	}
	for _, role := range []string{"server", "ingress", "up"} {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", h.pid(t, role)))
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			if to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", h.pid(t, role), fd.Name())); strings.Contains(to, "docker.sock") || role != "up" && strings.HasPrefix(to, filepath.Join(h.data, "log")) {
				t.Errorf("%s has %s open", role, to)
			}
		}
	}
	for _, path := range []string{"guard", "volume"} {
		info, err := os.Stat(filepath.Join(h.data, path))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v; want 0700", path, info.Mode(), err)
		}
	}
}
