package ingress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
)

// maxDatagram is more than UDP carries (RFC 768: a length of 16 bits).
const maxDatagram = 64 << 10

// datagrams lends what a datagram is read into, only while there is one: a
// thousand ports and flows that wait hold no memory.
var datagrams = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// packets is one UDP socket of a door.
type packets struct {
	*net.UDPConn
	raw syscall.RawConn
	any bool // bound to all addresses, so each answer says from which it goes
	v6  bool
}

// datagram is one that came, until the next one is read.
type datagram struct {
	bytes  []byte
	client netip.AddrPort
	at     unix.Sockaddr // client, as the kernel writes it
	to     netip.Addr    // the address that the client asked, where the socket has many
}

// udpAddresses are what a UDP door binds: a socket for each family, since each
// has its own way to say which address was asked.
func udpAddresses(hosts []string) []string {
	if len(hosts) == 1 && hosts[0] == "" {
		return []string{"0.0.0.0", "::"}
	}
	return hosts
}

func openPackets(ctx context.Context, host string, port uint16) (*packets, error) {
	lc := net.ListenConfig{}
	network := "udp4"
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		network = "udp6"
	}
	c, err := lc.ListenPacket(ctx, network, net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return nil, err
	}
	return newPackets(c.(*net.UDPConn))
}

// newPackets makes c ready. It is c's owner, also when it fails.
func newPackets(c *net.UDPConn) (*packets, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	at := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	p := &packets{UDPConn: c, raw: raw, any: at.IsUnspecified(), v6: at.Is6()}
	c.SetReadBuffer(1 << 20) // for bursts; the kernel may give less
	if p.any {
		level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
		if p.v6 {
			level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
		}
		if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); cerr != nil {
			err = cerr
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return p, nil
}

// next gives the next datagram to use.
func (p *packets) next(use func(datagram)) error {
	var b *[maxDatagram]byte
	var d datagram
	var err error
	oob := make([]byte, 64) // one in_pktinfo or in6_pktinfo
	waited := p.raw.Read(func(fd uintptr) bool {
		b = datagrams.Get().(*[maxDatagram]byte)
		var n, control int
		n, control, _, d.at, err = unix.Recvmsg(int(fd), b[:], oob, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			datagrams.Put(b)
			b = nil
			return false
		}
		d.bytes, oob = b[:max(n, 0)], oob[:max(control, 0)]
		return true
	})
	if b != nil {
		defer datagrams.Put(b)
	}
	if err := errors.Join(waited, err); err != nil {
		return err
	}
	d.client = addrOf(d.at)
	if p.any {
		d.to = askedAddr(oob)
	}
	use(d)
	return nil
}

func addrOf(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr)
		if a.ZoneId != 0 {
			if i, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				ip = ip.WithZone(i.Name)
			}
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// askedAddr is the address that a datagram was sent to: ip(7), in_pktinfo has
// it in bytes 8 to 11; ipv6(7), in6_pktinfo in its first 16.
func askedAddr(oob []byte) netip.Addr {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return netip.Addr{}
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= 12:
			return netip.AddrFrom4([4]byte(m.Data[8:12]))
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= 16:
			return netip.AddrFrom16([16]byte(m.Data[:16]))
		}
	}
	return netip.Addr{}
}

// from is the control message that sends an answer from the address asked.
func (p *packets) from(asked netip.Addr) []byte {
	switch {
	case !p.any || !asked.IsValid() || asked.IsMulticast():
		return nil
	case asked.Is4():
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: asked.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: asked.As16()})
}

// send sends at once or not at all, as UDP may.
func (p *packets) send(b, oob []byte, to unix.Sockaddr) {
	p.raw.Write(func(fd uintptr) bool {
		_ = unix.Sendmsg(int(fd), b, oob, to, unix.MSG_DONTWAIT) // a datagram may be lost
		return true
	})
}

// openUDP binds all of d's addresses or none.
func (f *front) openUDP(d *door) *problem.Problem {
	if all := inheritedUDP(f.legacy.take(d.key)); len(all) > 0 {
		f.readAll(d, all)
		return nil
	}
	var all []*packets
	for _, host := range udpAddresses(f.hosts(d.near)) {
		p, err := openPackets(f.ctx, host, d.port)
		if err == nil {
			all = append(all, p)
			continue
		}
		if (host == "::1" || host == "::") && len(all) > 0 && noIPv6(err) {
			continue
		}
		for _, p := range all {
			p.Close()
		}
		return f.shut(d, err)
	}
	f.readAll(d, all)
	return nil
}

func (f *front) readAll(d *door, all []*packets) {
	d.packets = all
	for _, p := range all {
		f.serving.Go(func() { f.readUDP(d, p) })
	}
}

// noIPv6 tells whether err is that of a machine without IPv6.
func noIPv6(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}
