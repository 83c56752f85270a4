package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// machine makes a mount and a UTS namespace into those of a machine of its
// own, and waits until someone holds on to them. The lock of iptables stays
// the host's, for Havre's own processes live with the host's files.
const machine = `set -e
dir=$1
hostname "$2"
resolv=$(readlink -f /etc/resolv.conf)
: >>/run/xtables.lock
: >"$dir/xtables.lock"
mount --bind /run/xtables.lock "$dir/xtables.lock"
cut -d ' ' -f 5 /proc/self/mountinfo | grep '^/run/' | sort -r | while read -r point; do umount -l "$point" 2>/dev/null || true; done
mount -t tmpfs tmpfs /run
: >/run/xtables.lock
mount --bind "$dir/xtables.lock" /run/xtables.lock
umount "$dir/xtables.lock"
mkdir -p "$(dirname "$resolv")"
: >>"$resolv"
mount --bind "$dir/resolv.conf" "$resolv"
echo ready
read -r _ || true
`

// share makes dir a place where a mount made on the host is seen by the
// engine, whatever the host does with its other mounts.
func share(dir string) error {
	for _, flags := range []uintptr{syscall.MS_BIND, syscall.MS_PRIVATE, syscall.MS_SHARED} {
		if err := syscall.Mount(dir, dir, "", flags, ""); err != nil {
			return fmt.Errorf("mount %s on itself: %w", dir, err)
		}
	}
	return nil
}

// Reboot pulls the plug and switches on again: every process of the world ends
// at once (the test's own in its network namespace too), mounts below Dir and
// all state of the network are gone, files stay. It returns when the engine
// answers.
func (w *World) Reboot(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w.relay.close()
	w.release()
	err := errors.Join(endAll(ctx, w.id), unplug(w.id), removeCgroups(w.id), unmountBelow(w.Dir, false))
	if err == nil {
		err = w.boot()
	}
	if err != nil {
		t.Fatalf("reboot: %v", err)
	}
	w.StartEngine(t)
}

// boot makes the namespaces. The engine is started by itself.
func (w *World) boot() error {
	if err := w.net.plug(); err != nil {
		return err
	}
	if err := w.resolve(); err != nil {
		return err
	}
	cmd := exec.Command("unshare", "--mount", "--uts", "--propagation", "slave", "sh", "-c", machine, "sh", w.Dir, "node-"+w.id)
	said := filepath.Join(w.Dir, "boot.log")
	stderr, err := os.Create(said)
	if err != nil {
		return err
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return err
	}
	err = w.hold(bufio.NewScanner(stdout), cmd.Process.Pid)
	stdin.Close()
	if err = errors.Join(err, cmd.Wait()); err != nil {
		text, _ := os.ReadFile(said)
		return fmt.Errorf("make the namespaces: %w: %s", err, text)
	}
	return nil
}

// hold keeps the namespaces of a process, which says when they are ready.
func (w *World) hold(says *bufio.Scanner, pid int) error {
	if !says.Scan() {
		return errors.New("it ended before it was ready")
	}
	for _, kind := range []string{"mnt", "uts"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			return err
		}
		w.spaces = append(w.spaces, f)
	}
	return nil
}

func (w *World) release() {
	for _, f := range w.spaces {
		f.Close()
	}
	w.spaces = nil
}
