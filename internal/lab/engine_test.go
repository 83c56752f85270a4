package lab_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"havre/internal/lab"
)

func TestContainerComesBackAfterACrashOfTheEngine(t *testing.T) {
	w := lab.Engine(t)
	always(t, w)
	w.KillEngine(t)
	if _, err := w.Ask(t.Context(), "ps"); err == nil {
		t.Fatal("the engine answers although it was killed")
	}
	w.StartEngine(t)
	well(t, w)
}

func TestContainerComesBackAfterAStop(t *testing.T) {
	w := lab.Engine(t)
	always(t, w)
	w.StopEngine(t)
	w.StartEngine(t)
	w.StartEngine(t) // the second time does nothing
	well(t, w)
}

func TestRebootKeepsFilesOnly(t *testing.T) {
	w := lab.Engine(t)
	always(t, w)
	w.Docker(t, "swarm", "init", "--advertise-addr", w.Address.String())
	if err := exec.Command("nsenter", "--net="+w.Netns, "ip", "link", "add", "extra", "type", "bridge").Run(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(w.Dir, "mounted")
	if err := errors.Join(os.Mkdir(dir, 0o755), syscall.Mount(dir, dir, "", syscall.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	mine := w.Command(t.Context(), "cat")
	if _, err := mine.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := mine.Start(); err != nil {
		t.Fatal(err)
	}

	w.Reboot(t)

	if err := mine.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("a process of the world ended with %v, want killed", err)
	}
	well(t, w)
	if err := w.Command(t.Context(), "ip", "link", "show", "extra").Run(); err == nil {
		t.Error("an interface survived")
	}
	if mounted(t, dir) {
		t.Error("a mount survived")
	}
	lab.Eventually(t, "the swarm", func(ctx context.Context) error {
		_, err := w.Ask(ctx, "node", "ls")
		return err
	})
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	w := lab.Engine(t)
	always(t, w)
	w.Docker(t, "swarm", "init", "--advertise-addr", w.Address.String())
	w.Docker(t, "network", "create", "--driver", "overlay", "--attachable", "net1")
	w.Docker(t, "run", "--detach", "--network", "net1", "app:always")
	w.KillEngine(t) // its shims are orphans now
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(w.Netns)
	for _, path := range []string{w.Dir, w.Netns} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := net.InterfaceByName(name); err == nil {
		t.Error("its interface is left")
	}
	for _, table := range []string{"nat", "filter"} {
		out, err := exec.Command("iptables", "-w", "-t", table, "-S").Output()
		if err != nil || strings.Contains(string(out), name) {
			t.Errorf("rules of table %s: %v\n%s", table, err, out)
		}
	}
	if mounted(t, w.Dir) {
		t.Error("its mount is left")
	}
	if groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + name); len(groups) > 0 {
		t.Errorf("control groups are left: %v", groups)
	}
	for _, pid := range mentioning(t, filepath.Base(w.Dir)) {
		t.Errorf("process %s is left", pid)
	}
	if err := w.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// TestMakesAWorldAndIsKilled does so only in a process of its own, which
// TestSweepRemovesTheWorldOfAKilledRun starts.
func TestMakesAWorldAndIsKilled(t *testing.T) {
	if os.Getenv("LAB_LEAVE") == "" {
		return
	}
	w := lab.Engine(t)
	always(t, w)
	if err := os.WriteFile(os.Getenv("LAB_LEAVE"), []byte(w.Dir), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-t.Context().Done()
}

func TestSweepRemovesTheWorldOfAKilledRun(t *testing.T) {
	lab.Need(t, "docker")
	note := filepath.Join(t.TempDir(), "dir")
	killed := exec.Command(os.Args[0], "-test.run=^TestMakesAWorldAndIsKilled$")
	killed.Env = append(os.Environ(), "LAB_LEAVE="+note)
	out, err := killed.CombinedOutput()
	dir, noted := os.ReadFile(note)
	if err == nil || noted != nil {
		t.Fatalf("the other run was not killed: %v\n%s", err, out)
	}
	mine := shared.World(t)
	if err := lab.Sweep(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", dir, err)
	}
	if left := mentioning(t, filepath.Base(string(dir))); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	mine.Docker(t, "info") // a world in use stays
}

// always starts a container that the engine has to keep running.
func always(t *testing.T, w *lab.World) {
	t.Helper()
	lab.ScratchImage(t, w, "app:always")
	w.Docker(t, "run", "--detach", "--name", "always", "--restart", "always", "app:always")
	well(t, w)
}

func well(t *testing.T, w *lab.World) {
	t.Helper()
	lab.Eventually(t, "the app to answer", func(ctx context.Context) error {
		address, err := w.Ask(ctx, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", "always")
		if err != nil {
			return err
		}
		return get(ctx, w, "http://"+address+":8080/", "v1")
	})
}

func mounted(t *testing.T, dir string) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), " "+dir+" ")
}

// mentioning lists the processes, this one apart, with word in their command
// line or control group.
func mentioning(t *testing.T, word string) []string {
	t.Helper()
	var pids []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		group, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if len(command) > 0 && strings.Contains(string(command)+string(group), word) {
			pids = append(pids, filepath.Base(dir)+" "+string(command))
		}
	}
	return pids
}
