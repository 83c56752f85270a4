package role

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
)

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
	c, err := net.DialTimeout("unixpacket", socket, time.Second)
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
