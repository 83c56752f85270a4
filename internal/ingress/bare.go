package ingress

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
	"havre/internal/route"
)

// bare is a TCP connection that the runtime knows nothing of: not its poller,
// which asks a price for each, and not its scheduler, which takes a system call
// that lasts for a blocked one. None of these calls waits. A bare one has one
// owner at a time, who closes it or makes it whole.
type bare int

// recv reads what there is: 0 and no error at the end.
func (b bare) recv(to []byte) (int, error) {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(b), uintptr(unsafe.Pointer(unsafe.SliceData(to))), uintptr(len(to)), unix.MSG_DONTWAIT, 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// send sends what the kernel takes now; with unix.MSG_MORE it may wait for more.
func (b bare) send(text []byte, how int) (int, error) {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(b), uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text)),
			uintptr(unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|how), 0, 0)
		if e == 0 {
			return int(n), nil
		}
		if e != unix.EINTR {
			return 0, e
		}
	}
}

// finish says that there is no more to come.
func (b bare) finish() { unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(b), unix.SHUT_WR, 0) }

func (b bare) close() { unix.RawSyscall(unix.SYS_CLOSE, uintptr(b), 0, 0) }

// reset closes so that the peer sees a broken connection, not a finished one.
func (b bare) reset() {
	_ = unix.SetsockoptLinger(int(b), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // then it looks finished
	b.close()
}

// prepare has b send small things at once and find out that its peer is gone.
// What a listener accepts has this of it.
func (b bare) prepare() error {
	for _, o := range [...][3]int{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepAlive.Idle / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(keepAlive.Interval / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAlive.Count},
	} {
		if err := unix.SetsockoptInt(int(b), o[0], o[1], o[2]); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// whole makes of b what the runtime knows. When there is an error b is closed.
func (b bare) whole() (*net.TCPConn, error) {
	f := os.NewFile(uintptr(b), "tcp")
	defer f.Close() // net.FileConn makes a copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, problem.New(problem.Internal, "a socket is none of TCP")
	}
	if err := tcp.SetKeepAliveConfig(keepAlive); err != nil {
		tcp.Close()
		return nil, err
	}
	return tcp, nil
}

// local is b's own address.
func (b bare) local() net.Addr {
	at, err := unix.Getsockname(int(b))
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)))
	case *unix.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(at.Addr).Unmap(), uint16(at.Port)))
	}
	_ = err // what has none may go nowhere
	return nil
}

// acceptBare takes the next connection from a listener, if there is one, with
// its client's address. One with a zone has none: its name takes asking for.
func acceptBare(listener uintptr) (b bare, client netip.AddrPort, err error) {
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
	return bare(fd), client, nil
}

// Socket is what Dial is for TCP, but gives the descriptor itself, which is the
// caller's to close and need not be known to the runtime.
type Socket func(context.Context, route.Target) (int, error)

// dialBare connects to a container.
func (f *front) dialBare(ctx context.Context, t route.Target) (bare, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fd, err := f.set.Socket(ctx, t)
	if err != nil {
		return -1, err
	}
	if err := bare(fd).prepare(); err != nil {
		bare(fd).close()
		return -1, problem.New(problem.Unavailable, "connect to container %.12s", t.Container).Because(err)
	}
	return bare(fd), nil
}

// bareDoor gives l as what accepts bare connections, where d is such a door.
func (f *front) bareDoor(d *door, l net.Listener) syscall.RawConn {
	tcp, ok := l.(*net.TCPListener)
	if !ok || d.kind != tcpDoor || len(f.relays.all) == 0 {
		return nil
	}
	file, err := tcp.File() // a net.TCPListener lends its descriptor to nobody who waits
	if err != nil {
		return nil
	}
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // refused where it is not polled
	}
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = bare(fd).prepare() })
	}
	if err != nil {
		file.Close()
		return nil
	}
	d.bare = append(d.bare, file)
	return raw
}

// acceptBare lets people in until the listener is closed.
func (f *front) acceptBare(d *door, listener syscall.RawConn) {
	var t trouble
	for {
		var b bare
		var client netip.AddrPort
		var failed error
		err := listener.Read(func(fd uintptr) bool {
			b, client, failed = acceptBare(fd)
			return failed != unix.EAGAIN
		})
		switch {
		case err != nil: // closed
			return
		case failed == unix.ECONNABORTED || failed == unix.EINTR: // as net sees it, too
		case failed != nil:
			if !t.pass(d, os.NewSyscallError("accept4", failed)) {
				return
			}
		default:
			t.pause = 0
			f.admitBare(d, b, client)
		}
	}
}

// admitBare lets one in. Who has a zone, or comes by a proxy that is to say for
// whom, is not for the relay.
func (f *front) admitBare(d *door, b bare, client netip.AddrPort) {
	if !client.IsValid() || within(f.set.Proxies, client.Addr()) {
		if c, err := b.whole(); err == nil {
			d.admit(c)
		}
		return
	}
	if !d.room() {
		b.reset()
		return
	}
	v := &visitor{bare: b, door: d, client: net.TCPAddrFromAddrPort(client)}
	f.serving.Go(func() { f.serveTCP(v) })
}
