package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is what an engine gets to start or to stop.
const patience = time.Minute

// daemon starts dockerd after forgetting who ran before: a killed engine
// leaves the number of its containerd, and refuses to start while any process
// has that number, be it a zombie.
const daemon = `rm -f /run/docker.pid /run/docker/containerd/containerd.pid
exec dockerd "$@"`

type engine struct {
	process *os.Process
	done    chan struct{} // closed when it has ended
}

func (e *engine) ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// StartEngine starts the engine after KillEngine or StopEngine, and returns
// when its API answers. It does nothing when the engine runs.
func (w *World) StartEngine(t testing.TB) {
	t.Helper()
	if err := w.start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// KillEngine ends dockerd like a crash: its containers, their shims and its
// files stay.
func (w *World) KillEngine(t testing.TB) {
	t.Helper()
	w.end(t, syscall.SIGKILL)
}

// StopEngine ends dockerd and its containers in good order.
func (w *World) StopEngine(t testing.TB) {
	t.Helper()
	w.end(t, syscall.SIGTERM)
}

func (w *World) end(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := w.engine.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("end the engine: %v", err)
	}
	select {
	case <-w.engine.done:
	case <-time.After(patience):
		t.Fatalf("the engine does not end within %s", patience)
	}
}

func (w *World) start(ctx context.Context) error {
	if w.engine != nil && !w.engine.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.endContainerd(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(w.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Not "ip netns exec": it mounts /sys anew, without the control groups.
	cmd := exec.Command("nsenter", append([]string{"--net=" + w.Netns, "--mount=/proc/self/fd/3", "--uts=/proc/self/fd/4",
		"sh", "-c", daemon, "sh"}, w.settings()...)...)
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = w.spaces, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the test, which then ends the engine
	if err := cmd.Start(); err != nil {
		return err
	}
	e := &engine{cmd.Process, make(chan struct{})}
	w.engine = e
	go func() {
		_ = cmd.Wait() // its log says why
		close(e.done)
	}()
	if err := w.answers(ctx); err != nil {
		return fmt.Errorf("start the engine: %w\n%s", err, w.tail(20))
	}
	return nil
}

// settings keep everything of the engine in the world, and the host's own
// configuration out.
func (w *World) settings() []string {
	return []string{
		"--host=unix://" + w.Socket,
		"--data-root=" + filepath.Join(w.Dir, "data"), "--exec-root=/run/docker", "--pidfile=/run/docker.pid",
		"--config-file=" + filepath.Join(w.Dir, "daemon.json"),
		"--exec-opt=native.cgroupdriver=cgroupfs", "--cgroup-parent=/" + name(w.id),
		"--mtu=" + w.net.mtu, "--max-download-attempts=2", // else it tries for a minute
	}
}

// endContainerd ends the containerd of a killed engine. It dies with its
// parent, but not at once.
func (w *World) endContainerd(ctx context.Context) error {
	return until(ctx, 20*time.Millisecond, func(context.Context) error {
		pids, err := processes(w.id)
		for _, pid := range pids {
			if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "containerd\n" {
				err = errors.Join(err, fmt.Errorf("containerd (%d) of the old engine still runs", pid), syscall.Kill(pid, syscall.SIGKILL))
			}
		}
		return err
	})
}

// answers waits until the API does.
func (w *World) answers(ctx context.Context) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", w.Socket)
		},
	}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := until(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		if w.engine.ended() {
			cancel()
			return nil
		}
		ping, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/_ping", nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(ping)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("ping: %s", answer.Status)
		}
		return nil
	})
	if w.engine.ended() {
		err = errors.New("it ended")
	}
	return err
}

func (w *World) log() string { return filepath.Join(w.Dir, "dockerd.log") }

func (w *World) tail(n int) string {
	text, _ := os.ReadFile(w.log())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// report shows what the engine said to a test that failed.
func (w *World) report(t testing.TB) {
	if !t.Failed() {
		return
	}
	t.Logf("the engine's last words:\n%s", w.tail(25))
	if text, err := os.ReadFile(w.log()); err == nil {
		_ = os.WriteFile(filepath.Join(t.ArtifactDir(), "dockerd.log"), text, 0o600) // the words above must do
	}
}
