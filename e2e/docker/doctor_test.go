package docker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/doctor"
	"havre/internal/lab"
)

// examined is what the doctor says, and whether it is content.
func (h *havre) examined(t *testing.T) (all []doctor.Check, well bool) {
	t.Helper()
	r := h.run(t, "doctor", "--data", h.data, "-o", "json")
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatalf("%v: %s%s", err, r.out, r.errs)
	}
	if (r.code == 0) == doctor.Sick(all) {
		t.Errorf("exit code %d for %+v", r.code, all)
	}
	return all, r.code == 0
}

// fault wants the doctor to find something bad under a name, and gives it.
func (h *havre) fault(t *testing.T, name, says string) doctor.Check {
	t.Helper()
	all, _ := h.examined(t)
	for _, c := range all {
		if c.Name == name && c.Level == doctor.Bad && strings.Contains(c.Says, says) {
			return c
		}
	}
	t.Fatalf("the doctor finds no %s that says %q: %+v", name, says, all)
	return doctor.Check{}
}

// mend runs a remedy as a person would type it, and wants the doctor content then.
func (h *havre) mend(t *testing.T, remedy string) {
	t.Helper()
	t.Logf("remedy: %s", remedy)
	bin := t.TempDir()
	if err := os.Symlink(h.bin, filepath.Join(bin, "havre")); err != nil {
		t.Fatal(err)
	}
	cmd := h.command(t.Context(), "-c", remedy)
	for i, a := range cmd.Args {
		if a == h.bin {
			cmd.Args[i] = "sh"
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", remedy, err, out)
	}
	h.recovers(t)
}

func (h *havre) recovers(t *testing.T) {
	t.Helper()
	lab.Eventually(t, "the doctor to be content", func(context.Context) error {
		if all, well := h.examined(t); !well {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
}

func TestDoctorNamesWhatMends(t *testing.T) {
	h := alone(t)
	h.recovers(t)

	t.Run("a directory that others may read", func(t *testing.T) {
		dir := filepath.Join(h.data, "guard")
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		h.mend(t, h.fault(t, "data", dir+" has mode 0777").Remedy)
	})

	t.Run("a file of the server's with another owner", func(t *testing.T) {
		file := filepath.Join(h.data, "server", "havre.db")
		if err := os.Chown(file, 0, 0); err != nil {
			t.Fatal(err)
		}
		h.mend(t, h.fault(t, "data", file+" belongs to root:root").Remedy)
	})

	t.Run("a socket's directory with another group", func(t *testing.T) {
		dir := filepath.Join(h.data, "run", "ingress")
		if err := os.Chown(dir, 0, 0); err != nil {
			t.Fatal(err)
		}
		h.mend(t, h.fault(t, "data", dir+" belongs to root:root").Remedy)
	})

	t.Run("a firewall rule that is gone", func(t *testing.T) {
		for _, tool := range []string{"iptables", "ip6tables"} {
			h.onMachine(t, tool, "-w", "5", "-D", "INPUT", "-j", "HAVRE-INPUT")
			h.mend(t, h.fault(t, "firewall", tool+": INPUT does not go through HAVRE-INPUT").Remedy)
			h.onMachine(t, tool, "-w", "5", "-t", "mangle", "-F", "HAVRE-PREROUTING")
			h.mend(t, h.fault(t, "firewall", tool+": HAVRE-PREROUTING does not drop").Remedy)
		}
	})

	t.Run("forwarding that is off", func(t *testing.T) {
		h.onMachine(t, "sysctl", "-q", "-w", "net.ipv4.ip_forward=0")
		h.mend(t, h.fault(t, "forwarding", "does not forward").Remedy)
	})

	t.Run("a route into the networks of projects", func(t *testing.T) {
		h.onMachine(t, "ip", "route", "add", "blackhole", "10.87.9.0/24")
		h.onMachine(t, "ip", "route", "replace", "10.87.9.0/24", "dev", "lo")
		h.onMachine(t, "ip", "route", "flush", "type", "blackhole", "10.87.9.0/24")
		h.mend(t, h.fault(t, "pool", "10.87.9.0/24").Remedy)
	})

	t.Run("a context that others may read", func(t *testing.T) {
		if err := os.Chmod(filepath.Join(h.home, ".config", "havre", "context.json"), 0o644); err != nil {
			t.Fatal(err)
		}
		h.mend(t, h.fault(t, "context", "others may read").Remedy)
	})

	t.Run("a mistake in a configuration", func(t *testing.T) {
		file := h.write(t, filepath.Join(h.data, "config", "ingress.json"), `{"bnd": ""}`)
		h.fault(t, "config", "ingress.json is not a configuration")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		h.recovers(t)
	})

	t.Run("Havre down, and its port taken", func(t *testing.T) {
		h.must(t, "down", "--data", h.data)
		down := h.fault(t, "roles", "Havre is down")
		listener, err := h.world.Listen(t.Context(), "tcp", "127.0.0.1:7080")
		if err != nil {
			t.Fatal(err)
		}
		web := &http.Server{}
		go func() { _ = web.Serve(listener) }() // until it is closed
		t.Cleanup(func() { _ = web.Close() })
		taken := h.fault(t, "ports", fmt.Sprintf("is held by docker.test (process %d)", os.Getpid()))
		h.mend(t, taken.Remedy) // it moves the API
		h.must(t, "ps")
		h.must(t, "down", "--data", h.data)
		h.mend(t, down.Remedy)
	})

	t.Run("the supervisor killed", func(t *testing.T) {
		out, err := exec.Command("kill", "-9", fmt.Sprint(h.pid(t, "up"))).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		h.mend(t, h.fault(t, "roles", "the supervisor does not run").Remedy)
	})

	t.Run("the engine stopped", func(t *testing.T) {
		h.world.StopEngine(t)
		c := h.fault(t, "engine", h.world.Socket)
		has(t, "the remedy", c.Remedy, "docker", "start") // which starts the machine's engine, not the test's
		h.world.StartEngine(t)
		h.recovers(t)
	})
}

// onMachine runs a program in the world's network.
func (h *havre) onMachine(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := h.world.Command(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestDoctorTellsOrdinaryPeopleWhatItSkipped(t *testing.T) {
	h := up(t)
	cmd := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", h.bin, "doctor", "--data", h.data)
	cmd.Env = append(os.Environ(), "HOME=/nonexistent")
	out, _ := cmd.CombinedOutput() // it may find something; who looks is what counts here
	has(t, "the doctor", string(out), "sudo havre doctor --data "+h.data, "skipped   data", "skipped   firewall")
}
