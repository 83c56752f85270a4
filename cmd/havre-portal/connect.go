package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"syscall"
)

// connect makes the socket that was asked for; closing it is the caller's.
func connect(ctx context.Context, r request) (int, error) {
	s, open, err := knock(r)
	if err == nil && !open {
		err = wait(ctx, s, r)
	}
	return s, err
}

// knock makes the socket that was asked for and begins to connect it; closing
// it is the caller's. A container of this machine has mostly taken the
// connection by then: it is open.
func knock(r request) (s int, open bool, err error) {
	kind := syscall.SOCK_STREAM
	if r.Network == udp {
		// Such a one speaks with the target alone. Nothing is sent yet, so it
		// says nothing of whether anybody is there.
		kind = syscall.SOCK_DGRAM
	}
	s, err = syscall.Socket(syscall.AF_INET, kind|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, false, os.NewSyscallError("socket", err)
	}
	err = rawConnect(s, r)
	if err == syscall.EINPROGRESS && !settled(s, r, &err) {
		return s, false, nil
	}
	if err != nil {
		rawClose(s)
		return -1, false, os.NewSyscallError("connect", err)
	}
	return s, true, nil
}

// wait waits until s is connected, as net.Dialer would. That one needs a
// second goroutine and a deep stack for each attempt, too much for the 8 MiB
// when every place is taken by somebody who waits for a deaf container.
// Where it does not come to be, s is closed.
func wait(ctx context.Context, s int, r request) error {
	err := waitFor(ctx, s, r)
	if err != nil {
		rawClose(s)
		err = os.NewSyscallError("connect", err)
	}
	return err
}

func waitFor(ctx context.Context, s int, r request) error {
	same, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return errno
	}
	f := os.NewFile(same, "") // not blocking: the runtime's poller takes care of it
	defer f.Close()
	deadline, _ := ctx.Deadline()
	raw, err := f.SyscallConn()
	if err := errors.Join(err, f.SetWriteDeadline(deadline)); err != nil {
		return err
	}
	waited := raw.Write(func(uintptr) bool { return settled(s, r, &err) })
	return cmp.Or(waited, err)
}

// settled tells whether connecting has come to an end, and to which. Asking
// for it again is how the kernel is asked.
func settled(s int, r request, end *error) bool {
	*end = rawConnect(s, r)
	return *end != syscall.EALREADY
}
