package portal

import (
	"io"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What follows are system calls that do not wait, and of which the runtime is
// not told. Of each that it is told of while it has little to do, it wakes a
// thread that then looks for blocked ones every 20 µs, for milliseconds.

// say sends a question.
func (l *line) say(text []byte) error {
	var e syscall.Errno
	err := l.raw.Write(func(fd uintptr) bool {
		for e = 0; len(text) > 0 && e == 0; {
			var n uintptr
			n, _, e = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text)),
				unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
			if e == unix.EINTR {
				n, e = 0, 0
			}
			if e == 0 {
				text = text[n:]
			}
		}
		return e != unix.EAGAIN
	})
	if err == nil && e != 0 {
		err = os.NewSyscallError("sendto", e)
	}
	return err
}

// heard is what one call brought.
type heard struct {
	text, control int // bytes
	cut           bool
}

// read takes what the portal said, and what came with it. The descriptors in
// it are the caller's, and closed when another program is started. Errors:
// io.EOF at the end.
func (l *line) read(text, control []byte) (h heard, err error) {
	part := unix.Iovec{Base: unsafe.SliceData(text)}
	part.SetLen(len(text))
	message := unix.Msghdr{Iov: &part}
	message.SetIovlen(1)
	var n uintptr
	var e syscall.Errno
	err = l.raw.Read(func(fd uintptr) bool {
		for e = unix.EINTR; e == unix.EINTR; {
			message.Control = unsafe.SliceData(control)
			message.SetControllen(len(control))
			n, _, e = unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&message)), unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		}
		return e != unix.EAGAIN
	})
	switch {
	case err != nil:
		return h, err
	case e != 0:
		return h, os.NewSyscallError("recvmsg", e)
	case n == 0:
		err = io.EOF
	}
	return heard{int(n), int(message.Controllen), message.Flags&unix.MSG_CTRUNC != 0}, err
}

// stands tells whether the name of the socket leads to where l leads. The
// name was looked up when l was opened, so the kernel need not read for it.
func (l *line) stands() bool {
	var now unix.Stat_t
	here := unix.AT_FDCWD
	_, _, e := unix.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(here), uintptr(unsafe.Pointer(unsafe.SliceData(l.name))), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	then, ok := l.end.Sys().(*syscall.Stat_t)
	return ok && e == 0 && now.Dev == then.Dev && now.Ino == then.Ino
}

// typeOf gives the type of a socket, as unix.SOCK_STREAM, or below 0.
func typeOf(fd int) int {
	var is int32
	size := uint32(unsafe.Sizeof(is))
	_, _, e := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_TYPE,
		uintptr(unsafe.Pointer(&is)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return -1
	}
	return int(is)
}
