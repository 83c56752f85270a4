package main

import (
	"crypto/rand"
	"net"
	"os"
	"syscall"
)

// takeOver listens on the unix socket at path, in place of whatever portal
// listened there before. The name changes hands in one step, so that callers
// always find somebody. It is never unlinked: closing takes away the name
// that was listened on at first, not one that a newer portal may have by then.
func takeOver(path string) (*net.UnixListener, error) {
	// Every portal is process 1 of its container: a pid would not tell two apart.
	mine := path + "." + rand.Text()[:8]
	old := syscall.Umask(0o117)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: mine, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(mine, path); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
