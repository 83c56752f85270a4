package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// connect makes the socket that was asked for.
func connect(ctx context.Context, r request) (*os.File, error) {
	if r.Network == udp {
		return associate(r.target())
	}
	return connectTCP(ctx, r.target())
}

// associate makes a UDP socket that speaks with to alone. Nothing is sent, so
// it says nothing of whether anybody is there.
func associate(to netip.AddrPort) (*os.File, error) {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := syscall.Connect(s, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		syscall.Close(s)
		return nil, os.NewSyscallError("connect", err)
	}
	return os.NewFile(uintptr(s), to.String()), nil
}

// connectTCP makes a TCP connection, as net.Dialer would. That one needs a
// second goroutine and a deep stack for each attempt, too much for the 8 MiB
// when every place is taken by somebody who waits for a deaf container.
func connectTCP(ctx context.Context, to netip.AddrPort) (*os.File, error) {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(s), to.String()) // not blocking: the runtime's poller takes care of it
	deadline, _ := ctx.Deadline()
	raw, err := f.SyscallConn()
	err = errors.Join(err, f.SetWriteDeadline(deadline))
	if err == nil {
		err = syscall.Connect(s, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}
	if errors.Is(err, syscall.EINPROGRESS) {
		if waited := raw.Write(func(uintptr) bool { return settled(s, &err) }); waited != nil {
			err = waited
		}
	}
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return f, nil
}

// settled tells whether connecting has come to an end, and to which.
func settled(s int, end *error) bool {
	code, err := syscall.GetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	if err == nil {
		// The poller also wakes for a socket that has not begun to connect.
		if _, err = syscall.Getpeername(s); err == syscall.ENOTCONN {
			return false
		}
	}
	*end = err
	return true
}
