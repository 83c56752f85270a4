package docker_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/doctor"
	"havre/internal/lab"
)

// about makes a Havre that is only configured to use an engine, so that the
// doctor looks at that.
func about(t *testing.T, w *lab.World, socket string) *havre {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &havre{world: w, bin: bin, data: filepath.Join(dir, "havre"), home: dir, work: dir}
	h.write(t, filepath.Join(h.data, "config", "guard.json"), fmt.Sprintf(`{"engine": %q}`, socket))
	return h
}

func TestDoctorKnowsWhatAnEngineCanLack(t *testing.T) {
	t.Parallel()
	w := lab.Engine(t)

	t.Run("it is missing", func(t *testing.T) {
		h := about(t, w, filepath.Join(t.TempDir(), "docker.sock"))
		c := h.fault(t, "engine", "docker.sock is missing: it does not run, or listens elsewhere")
		has(t, "the remedy", c.Remedy, "docker", "start")
	})

	t.Run("it is too old", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "docker.sock")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		old := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			answer := `{}`
			if strings.HasSuffix(r.URL.Path, "/version") {
				answer = `{"Version": "19.03.15", "ApiVersion": "1.40"}` // Docker API 1.40, SystemVersion
			}
			_, _ = rw.Write([]byte(answer)) // the doctor says what it could not read
		})}
		go func() { _ = old.Serve(l) }() // until it is closed
		t.Cleanup(func() { _ = old.Close() })
		c := about(t, w, socket).fault(t, "engine", "Docker Engine 19.03.15 is too old: it speaks API 1.40")
		has(t, "the remedy", c.Remedy, "apt-get", "install docker.io")
	})

	t.Run("its swarm is locked", func(t *testing.T) {
		h := about(t, w, w.Socket)
		w.Docker(t, "swarm", "init", "--advertise-addr", "127.0.0.1", "--autolock")
		key := strings.TrimSpace(w.Docker(t, "swarm", "unlock-key", "-q"))
		w.StopEngine(t)
		w.StartEngine(t)
		lab.Eventually(t, "the swarm to be locked", func(ctx context.Context) error {
			if state, err := w.Ask(ctx, "info", "--format", "{{.Swarm.LocalNodeState}}"); strings.TrimSpace(state) != "locked" {
				return fmt.Errorf("%s, %v", state, err)
			}
			return nil
		})
		c := h.fault(t, "swarm", "the swarm is locked")
		cmd := exec.CommandContext(t.Context(), "sh", "-c", c.Remedy)
		cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+w.Socket, "DOCKER_CONTEXT=")
		cmd.Stdin = strings.NewReader(key + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c.Remedy, err, out)
		}
		lab.Eventually(t, "the doctor to find the swarm well", func(context.Context) error {
			all, _ := h.examined(t)
			for _, c := range all {
				if c.Name == "swarm" && c.Level != doctor.Bad {
					return nil
				}
			}
			return fmt.Errorf("%+v", all)
		})
	})
}
