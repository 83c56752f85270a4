package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"havre/internal/lab"
)

var shared lab.Shared

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

func TestContainerRunsTheApp(t *testing.T) {
	w := shared.World(t)
	id := lab.ScratchImage(t, w, "app:run", lab.File{Path: "/etc/motd", Text: "hello\n"}, lab.File{Path: "Dockerfile", Text: "USER 7:8"})
	if !strings.HasPrefix(id, "sha256:") {
		t.Errorf("image id = %q", id)
	}
	if got := w.Docker(t, "run", "--rm", "app:run", "id"); got != "7 8" {
		t.Errorf("id in the container = %q, want 7 8", got)
	}
	if got := w.Docker(t, "run", "--rm", id, "cat", "/etc/motd"); got != "hello" {
		t.Errorf("file in the image = %q", got)
	}
}

func TestDialReachesAContainer(t *testing.T) {
	w := shared.World(t)
	lab.ScratchImage(t, w, "app:dial")
	w.Docker(t, "run", "--detach", "--rm", "--name", "dial", "--env", "VERSION=v7", "--publish", "8081:8080", "app:dial")
	t.Cleanup(func() { end(t, w, "dial") })
	for _, address := range []string{containerAddress(t, w, "dial") + ":8080", "127.0.0.1:8081"} {
		lab.Eventually(t, "the app at "+address, func(ctx context.Context) error {
			return get(ctx, w, "http://"+address+"/", "v7")
		})
	}
}

func TestCommandRunsInTheWorldOnly(t *testing.T) {
	w := shared.World(t)
	out, err := w.Command(t.Context(), "ip", "-4", "-oneline", "address", "show", "eth0").Output()
	if err != nil || !strings.Contains(string(out), w.Address.String()+"/30") {
		t.Errorf("address inside = %q, %v; want %s", out, err, w.Address)
	}
	out, err = w.Command(t.Context(), "cat", "/proc/self/mountinfo").Output()
	if err != nil || !strings.Contains(string(out), " "+w.Dir+" ") {
		t.Errorf("the command has other mounts than the host: %v", err)
	}
}

func TestAttachableOverlayWorksInASwarm(t *testing.T) {
	w := shared.World(t)
	lab.ScratchImage(t, w, "app:swarm")
	id := w.Docker(t, "image", "inspect", "--format", "{{.Id}}", "app:swarm")
	w.Docker(t, "swarm", "init", "--advertise-addr", w.Address.String())
	w.Docker(t, "network", "create", "--driver", "overlay", "--attachable", "net1")
	w.Docker(t, "service", "create", "--detach", "--name", "web", "--endpoint-mode", "dnsrr", "--network", "name=net1,alias=shop",
		"--env", "VERSION=v2", "--no-resolve-image", id)
	w.Docker(t, "run", "--detach", "--name", "plain", "--network", "net1", "app:swarm")
	t.Cleanup(func() { end(t, w, "plain") })
	lab.Eventually(t, "the service by its alias", func(ctx context.Context) error {
		got, err := w.Ask(ctx, "exec", "plain", "/app", "dial", "shop:8080")
		if err == nil && got != "ok" {
			err = errors.New(got)
		}
		return err
	})
}

// Havre's guard mounts its volumes on themselves after the engine has started.
func TestEngineSeesALaterMount(t *testing.T) {
	w := shared.World(t)
	lab.ScratchImage(t, w, "app:mount")
	dir := filepath.Join(w.Dir, "later")
	if err := errors.Join(os.Mkdir(dir, 0o711), os.Mkdir(filepath.Join(dir, "vol"), 0o755), mountStrictly(dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, 0) })
	mounts := w.Docker(t, "run", "--rm", "--volume", filepath.Join(dir, "vol")+":/vol/rw", "app:mount", "cat", "/proc/self/mountinfo")
	for line := range strings.Lines(mounts) {
		if strings.Contains(line, " /vol/rw ") && strings.Contains(line, "nosuid") && strings.Contains(line, "nodev") {
			return
		}
	}
	t.Errorf("the volume is not nosuid and nodev:\n%s", mounts)
}

func TestRunIsPrivateToTheEngine(t *testing.T) {
	w := shared.World(t)
	w.Docker(t, "info")
	if _, err := os.Stat("/run/docker/containerd/" + filepath.Base(w.Dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("host's /run: %v", err)
	}
	pid, err := os.ReadFile("/run/docker.pid")
	if err != nil {
		return // no engine on this host
	}
	if out, err := exec.Command("cat", "/proc/"+strings.TrimSpace(string(pid))+"/cmdline").Output(); err == nil && strings.Contains(string(out), w.Dir) {
		t.Error("the world's engine wrote the host's /run/docker.pid")
	}
}

func TestContainerReachesThePackageMirror(t *testing.T) {
	w := shared.World(t)
	lab.ScratchImage(t, w, "app:out")
	host := mirror(t)
	if _, err := exec.Command("getent", "ahostsv4", host).Output(); err != nil {
		t.Skipf("the host itself does not find %s", host)
	}
	for _, network := range []string{"bridge", "other"} {
		if network == "other" {
			w.Docker(t, "network", "create", "other")
		}
		if got := w.Docker(t, "run", "--rm", "--network", network, "app:out", "lookup", host); got == "" {
			t.Errorf("network %s: no address of %s", network, host)
		}
		if got := w.Docker(t, "run", "--rm", "--network", network, "app:out", "dial", host+":80"); got != "ok" {
			t.Errorf("network %s: dial %s = %s", network, host, got)
		}
	}
}

func TestTwoWorldsDoNotMeet(t *testing.T) {
	one, two := shared.World(t), lab.Engine(t)
	if one.Address == two.Address || one.Dir == two.Dir || one.Netns == two.Netns {
		t.Errorf("they share something: %v, %v", one, two)
	}
	lab.ScratchImage(t, two, "app:two")
	if got, err := one.Ask(t.Context(), "image", "inspect", "app:two"); err == nil {
		t.Errorf("world one has the image of two: %s", got)
	}
}

// mountStrictly mounts dir on itself, nosuid and nodev. The flags are set before
// the mount is anywhere: a remount would not reach other mount namespaces.
func mountStrictly(dir string) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	strict := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &strict); err != nil {
		return err
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mirror is the host that the machine's package lists name first.
func mirror(t *testing.T) string {
	t.Helper()
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if before, after, ok := strings.Cut(line, "http://"); ok && !strings.Contains(before, "#") {
				return strings.FieldsFunc(after, func(r rune) bool { return strings.ContainsRune("/: \n", r) })[0]
			}
		}
	}
	t.Skip("this machine names no package mirror by http")
	return ""
}

func get(ctx context.Context, w *lab.World, url, want string) error {
	client := http.Client{Transport: &http.Transport{DialContext: w.Dial, DisableKeepAlives: true}}
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(ask)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && string(text) != want+"\n" {
		err = fmt.Errorf("%s says %q, want %q", url, text, want)
	}
	return err
}

func containerAddress(t *testing.T, w *lab.World, name string) string {
	t.Helper()
	return w.Docker(t, "inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)
}

// end is for cleaning up, when the test's own context is over.
func end(t *testing.T, w *lab.World, container string) {
	t.Helper()
	if _, err := w.Ask(context.Background(), "rm", "--force", container); err != nil {
		t.Error(err)
	}
}
