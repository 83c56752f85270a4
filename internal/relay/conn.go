package relay

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Conn is a TCP connection that the runtime knows nothing of: not its poller,
// which asks a price for each, and not its scheduler, which takes a system call
// that lasts for a blocked one. None of these calls waits. It has one
// owner at a time, who closes it or makes it whole.
type Conn int

// Recv reads what there is: 0 and no error at the end.
func (c Conn) Recv(to []byte) (int, error) {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(c), uintptr(unsafe.Pointer(unsafe.SliceData(to))), uintptr(len(to)), unix.MSG_DONTWAIT, 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Send sends what the kernel takes now; with unix.MSG_MORE it may wait for more.
func (c Conn) Send(text []byte, how int) (int, error) {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(c), uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text)),
			uintptr(unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|how), 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// Finish says that there is no more to come.
func (c Conn) Finish() { unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(c), unix.SHUT_WR, 0) }

// Close closes c.
func (c Conn) Close() { unix.RawSyscall(unix.SYS_CLOSE, uintptr(c), 0, 0) }

// Reset closes so that the peer sees a broken connection, not a finished one.
func (c Conn) Reset() {
	unix.SetsockoptLinger(int(c), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	c.Close()
}

// Prepare has c send small things at once and find out that its peer is gone.
// What a listener accepts has this of it.
func (c Conn) Prepare(alive net.KeepAliveConfig) error {
	for _, o := range [...][3]int{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(alive.Idle / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(alive.Interval / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, alive.Count},
	} {
		value := int32(o[2])
		if _, _, e := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(c), uintptr(o[0]), uintptr(o[1]), uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0); e != 0 {
			return os.NewSyscallError("setsockopt", e)
		}
	}
	return nil
}

// Whole makes of c what the runtime knows. When there is an error c is closed.
func (c Conn) Whole(alive net.KeepAliveConfig) (*net.TCPConn, error) {
	f := os.NewFile(uintptr(c), "tcp")
	defer f.Close() // net.FileConn makes a copy
	made, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := made.(*net.TCPConn)
	if !ok {
		made.Close()
		return nil, errors.New("a socket is none of TCP")
	}
	if err := tcp.SetKeepAliveConfig(alive); err != nil {
		tcp.Close()
		return nil, err
	}
	return tcp, nil
}

// Local is c's own address.
func (c Conn) Local() net.Addr {
	at, _ := unix.Getsockname(int(c)) // what has none may go nowhere
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(at.Addr).Unmap(), uint16(at.Port)))
	}
	return nil
}

// Accept takes the next connection from a listener, if there is one, with
// its client's address. One with a zone has none: its name takes asking for.
func Accept(listener uintptr) (c Conn, client netip.AddrPort, err error) {
	var from unix.RawSockaddrInet6 // the larger one
	size := uint32(unsafe.Sizeof(from))
	fd, _, e := unix.RawSyscall6(unix.SYS_ACCEPT4, listener, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, client, e
	}
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&from.Port))[:])
	switch {
	case from.Family == unix.AF_INET:
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&from))
		client = netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	case from.Family == unix.AF_INET6 && from.Scope_id == 0:
		client = netip.AddrPortFrom(netip.AddrFrom16(from.Addr).Unmap(), port)
	}
	return Conn(fd), client, nil
}
