package role

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/disk"
	"havre/internal/problem"
)

// process is a running role, started by us or found running.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
}

// spawn starts a role as its user. It outlives us, as its log or its pipe to
// that does, and a signal to our terminal does not reach it.
func spawn(l Layout, r Role, program string) (*process, error) {
	out, err := l.output(r)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	cmd := exec.Command(program, "serve", r.Name, "--data", l.Data)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "GOMEMLIMIT=64MiB"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.As != "" {
		who, err := systemUser(r.As)
		if err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}
		cmd.SysProcAttr.AmbientCaps = r.Caps
		open, err := handOver(cmd, program)
		if err != nil {
			return nil, err
		}
		defer open.Close() // the child has its own
	}
	start := cmd.Start
	if r.As != "" {
		start = func() error { return startNarrow(cmd, r.Caps, profileOf(r.Name, l)) }
	}
	if err := start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.Name, err)
	}
	p := &process{pid: cmd.Process.Pid, done: make(chan struct{})}
	if err := l.remember(r.Name, p.pid); err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		close(p.done)
	}()
	return p, nil
}

// handOver has cmd run a program that is opened here, by root: it may lie where
// cmd's user cannot go, in somebody's home for one (0700 on Debian 12). The
// child finds it as its descriptor 3.
func handOver(cmd *exec.Cmd, program string) (*os.File, error) {
	f, err := os.Open(program)
	if err != nil {
		return nil, err
	}
	cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{f}
	return f, nil
}

// Named gives the process its name back, which a program that was handed over
// open has lost: it would be called 3 in ps and ss. Without /proc it stays so.
func Named() { _ = os.WriteFile("/proc/self/comm", []byte("havre"), 0) }

// remember notes a role's pid and when that process began, since a pid alone
// may be another's later.
func (l Layout) remember(role string, pid int) error {
	began, err := startTime(pid)
	if err != nil {
		return err
	}
	return disk.WriteFile(l.Pid(role), fmt.Appendf(nil, "%d %s\n", pid, began), 0o600)
}

// running finds the process of a role that still runs, 0 when none does.
func (l Layout) running(role string) int {
	text, err := os.ReadFile(l.Pid(role))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text))
	if len(f) != 2 {
		return 0
	}
	pid, err := strconv.Atoi(f[0])
	if err != nil {
		return 0
	}
	if began, err := startTime(pid); err != nil || began != f[1] {
		return 0
	}
	return pid
}

// startTime is field 22 of /proc/PID/stat (proc(5)), clock ticks since the boot.
func startTime(pid int) (string, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", err
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name before it may hold blanks
	f := strings.Fields(after)
	if len(f) < 20 || f[0] == "Z" {
		return "", fs.ErrNotExist
	}
	return f[19], nil
}

// keepOn takes over a role that runs, unless it is of another program than
// ours: then nil, and it has to be replaced. One that hands over is left to the
// next one, which takes over from it when it is spawned.
func keepOn(l Layout, r Role, program string) *process {
	pid := l.running(r.Name)
	if pid == 0 {
		return nil
	}
	p := watch(pid)
	if p == nil {
		return nil
	}
	if exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe")); err != nil || exe != program {
		if !handsOver(l, r) {
			p.stop(stopTime)
		}
		return nil
	}
	return p
}

// handsOver tells whether the role that runs waits for an heir; one of an older
// Havre may not.
func handsOver(l Layout, r Role) bool {
	if r.Heir == nil {
		return false
	}
	c, err := dialHeir(r.Heir(l))
	if err == nil {
		_ = c.Close() // nothing was asked
	}
	return err == nil
}

// dialHeir connects to a socket for heirs, in the directory of the ingress.
func dialHeir(socket string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return disk.Dial(ctx, "unixpacket", socket)
}

// settled finds out whether all roles are of the program that supervises them:
// until then the old ones may answer, and say that all is well.
// Errors: Busy with the role that is not.
func (l Layout) settled() error {
	program, err := executable(l.running("up"))
	if err != nil {
		return problem.New(problem.Busy, "the supervisor starts")
	}
	for _, r := range Roles {
		pid := l.running(r.Name)
		runs, err := executable(pid)
		switch {
		case err != nil:
			return problem.New(problem.Busy, "the %s starts", r.Name)
		case !os.SameFile(runs, program):
			return problem.New(problem.Busy, "the %s of another program still runs", r.Name)
		case r.Heir != nil && listener(r.Heir(l)) != pid:
			return problem.New(problem.Busy, "the %s takes over from the one that runs", r.Name)
		}
	}
	return nil
}

// executable is the file that a process runs, also when that has no name any
// more because a newer one took it.
func executable(pid int) (os.FileInfo, error) {
	return os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
}

// listener is the process that listens at a socket for heirs, 0 when none
// does. It began to when it had its sockets and its table (unix(7), SO_PEERCRED).
func listener(socket string) int {
	c, err := dialHeir(socket)
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	if err := raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	}); err != nil {
		return 0
	}
	return pid
}

// displace ends a supervisor of another program than ours, so that ours can
// adopt its roles and replace them. It is killed: were it asked, it would stop
// them. Where systemd started it, systemd starts it again, and for that is waited.
func (l Layout) displace() (done bool, err error) {
	program, err := os.Executable()
	if err != nil {
		return false, err
	}
	proc := filepath.Join("/proc", strconv.Itoa(l.running("up")))
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	if err != nil || exe == program {
		return false, nil // nobody's, or ours
	}
	env, _ := os.ReadFile(filepath.Join(proc, "environ")) // of one that just ended: nothing
	p := watch(l.running("up"))
	if p == nil {
		return false, nil
	}
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
		return false, err
	}
	<-p.done
	if bytes.Contains(env, []byte("INVOCATION_ID=")) { // systemd.exec(5)
		for until := time.Now().Add(5 * time.Second); l.running("up") == 0 && time.Now().Before(until); {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return true, nil
}

// watch follows a process that is not our child by a pidfd (pidfd_open(2)).
func watch(pid int) *process {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	p := &process{pid: pid, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer unix.Close(fd)
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return p
}

// stopTime is how long a role may take to stop before it is killed.
const stopTime = 15 * time.Second

// stop asks the process to end, waits, and makes it end.
func (p *process) stop(patience time.Duration) {
	if syscall.Kill(p.pid, syscall.SIGTERM) != nil {
		return
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may just have ended
		<-p.done
	}
}

// lock makes sure that one supervisor works in a data directory. Close the
// file to let another in; the kernel does when we are killed.
// Errors: Busy when one is at work.
func (l Layout) lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(l.Data, "run", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		_ = f.Close() // nothing was written
		return nil, problem.New(problem.Busy, "Havre is already up in %s", l.Data)
	}
	return f, err
}

// startNarrow starts a process that gains no right any more, whatever program
// it runs: it has a bounding set of caps and no others, no new privileges, and
// the AppArmor profile if that is loaded. All belong to a thread and are
// inherited.
// Errors: Failed when the rights cannot be taken away; then it is not started.
func startNarrow(cmd *exec.Cmd, caps []uintptr, profile string) error {
	return onThreadOfItsOwn(func() error {
		if err := narrow(caps); err != nil {
			return err
		}
		if loaded(profile) {
			// What the thread executes next, in its child, changes to the profile.
			if err := os.WriteFile("/proc/thread-self/attr/apparmor/exec", []byte("exec "+profile), 0); err != nil {
				return tooWide(err)
			}
		}
		return cmd.Start()
	})
}

// onThreadOfItsOwn has a thread do something, and ends it.
func onThreadOfItsOwn(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // where it is not unlocked the thread goes with the goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- do()
			return
		}
		err := onThreadOfItsOwn(do) // the first thread cannot end; while we hold it, it is not taken again
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// loaded tells whether the kernel has an AppArmor profile.
func loaded(profile string) bool {
	text, _ := os.ReadFile("/sys/kernel/security/apparmor/profiles") // none without AppArmor
	return slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
		name, _, _ := strings.Cut(line, " (")
		return name == profile
	})
}

// narrow takes from the thread what its children may not have (prctl(2)).
func narrow(caps []uintptr) error {
	for c := uintptr(0); ; c++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err == unix.EINVAL {
			break // the kernel knows no more
		}
		if err == nil && has == 1 && !slices.Contains(caps, c) {
			err = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		}
		if err != nil {
			return tooWide(fmt.Errorf("capability %d: %w", c, err))
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return tooWide(err)
	}
	return nil
}

func tooWide(err error) error {
	return problem.New(problem.Failed, "take rights away from a process before it starts").Because(err).
		With("start havre up as root with all capabilities of its unit: systemctl show -p CapabilityBoundingSet havre")
}
