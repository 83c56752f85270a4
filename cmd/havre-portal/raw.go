package main

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// What follows are system calls on sockets that do not block. The runtime is
// not told of them: it takes what lasts for blocked, hands its place to another
// thread and takes it back, which costs more than connecting does. And of each
// that it is told of while it has little to do, it wakes a thread that then
// looks for blocked ones every 20 µs, for milliseconds.

// rawConnect connects s, or begins to, or tells how far that is.
func rawConnect(s int, r request) error {
	to := syscall.RawSockaddrInet4{Family: syscall.AF_INET, Addr: r.Address.As4()}
	port := (*[2]byte)(unsafe.Pointer(&to.Port))
	port[0], port[1] = byte(r.Port>>8), byte(r.Port)
	_, _, e := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(s), uintptr(unsafe.Pointer(&to)), unsafe.Sizeof(to))
	return errno(e)
}

// rawClose closes s, which nobody has put into the runtime's poller.
func rawClose(s int) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(s), 0, 0) }

// line is a caller's connection.
type line struct {
	*net.UnixConn
	raw syscall.RawConn
}

// newLine takes c over.
func newLine(c *net.UnixConn) (*line, error) {
	raw, err := c.SyscallConn()
	return &line{c, raw}, err
}

// peer is the user that connected, as the kernel says.
func (l *line) peer() (uint32, error) {
	var cred syscall.Ucred
	size := uint32(unsafe.Sizeof(cred))
	var e error
	err := l.raw.Control(func(fd uintptr) {
		_, _, no := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED, uintptr(unsafe.Pointer(&cred)), uintptr(unsafe.Pointer(&size)), 0)
		e = errno(no)
	})
	if err == nil {
		err = e
	}
	return cred.Uid, err
}

// Read reads what there is, and waits for it until the deadline.
func (l *line) Read(to []byte) (int, error) { return rawRead(l.raw, to) }

func rawRead(from syscall.RawConn, to []byte) (n int, err error) {
	var e error
	err = from.Read(func(fd uintptr) bool {
		m, _, no := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(to))), uintptr(len(to)))
		n, e = int(m), errno(no)
		return no != syscall.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case e != nil:
		return 0, e
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// rawWrite writes what goes in one piece.
func rawWrite(to syscall.RawConn, text []byte) (n int, err error) {
	var e error
	err = to.Write(func(fd uintptr) bool {
		m, _, no := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text)))
		n, e = int(m), errno(no)
		return no != syscall.EAGAIN
	})
	if err == nil {
		err = e
	}
	if err != nil {
		return 0, err
	}
	return n, nil
}

// send sends text with descriptors.
func (l *line) send(text []byte, sockets ...int) (err error) {
	part := syscall.Iovec{Base: unsafe.SliceData(text)}
	part.SetLen(len(text))
	message := syscall.Msghdr{Iov: &part, Iovlen: 1}
	if len(sockets) > 0 {
		rights := syscall.UnixRights(sockets...)
		message.Control = unsafe.SliceData(rights)
		message.SetControllen(len(rights))
	}
	var e error
	err = l.raw.Write(func(fd uintptr) bool {
		n, _, no := syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&message)), syscall.MSG_NOSIGNAL)
		if e = errno(no); no == 0 && int(n) < len(text) {
			e = syscall.EMSGSIZE // a stream takes so little at once, or nothing
		}
		return no != syscall.EAGAIN
	})
	if err == nil {
		err = e
	}
	return err
}

func errno(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}
