package ingress

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// greetTime is how long a trusted proxy may take to say whose connection it
// brings; maxGreeting bounds what it says.
const (
	greetTime   = 5 * time.Second
	maxGreeting = 4 << 10
)

// greeting is what an app reads first where x-havre.proxy is v2.
func greeting(client, here netip.AddrPort) []byte {
	header := proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	if client.IsValid() && here.IsValid() {
		if client.Addr().Is4() != here.Addr().Is4() { // one of a v6 socket, one not
			here = netip.AddrPortFrom(netip.AddrFrom16(here.Addr().As16()), here.Port())
			client = netip.AddrPortFrom(netip.AddrFrom16(client.Addr().As16()), client.Port())
		}
		header = proxyproto.Header{
			Version: 2, Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv6,
			SourceAddr: net.TCPAddrFromAddrPort(client), DestinationAddr: net.TCPAddrFromAddrPort(here),
		}
		if client.Addr().Is4() {
			header.TransportProtocol = proxyproto.TCPv4
		}
	}
	b, err := header.Format()
	if err != nil {
		panic("two addresses of one family are always a header: " + err.Error())
	}
	return b
}

// greeted lets visitors of listed proxies say first whose connection it is.
// Such a network must always say it: who comes from there without is cut.
func (f *front) greeted(enter func(*visitor)) func(*visitor) {
	if len(f.set.Proxies) == 0 {
		return enter
	}
	return func(v *visitor) {
		if !within(f.set.Proxies, clientOf(v.TCPConn.RemoteAddr()).WithZone("")) {
			enter(v)
			return
		}
		f.serving.Go(func() {
			stop := context.AfterFunc(f.ctx, func() { v.TCPConn.Close() })
			defer stop()
			if err := v.introduce(); err != nil {
				v.door.denied.Add(1)
				reset(v.TCPConn)
				v.Close()
				return
			}
			enter(v)
		})
	}
}

var errGreeting = errors.New("no PROXY protocol version 2")

// introduce reads the greeting and nothing behind it: what follows is the
// client's, and may go from kernel to kernel.
func (v *visitor) introduce() error {
	if err := v.SetReadDeadline(time.Now().Add(greetTime)); err != nil {
		return err
	}
	b := make([]byte, 16, 64) // PROXY protocol 2.2: signature, version, family, length
	if _, err := io.ReadFull(v.TCPConn, b); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	if !bytes.HasPrefix(b, proxyproto.SIGV2) || n > maxGreeting {
		return errGreeting
	}
	b = append(b, make([]byte, n)...)
	if _, err := io.ReadFull(v.TCPConn, b[16:]); err != nil {
		return err
	}
	header, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return err
	}
	if header.Command.IsProxy() {
		client, here, ok := header.TCPAddrs()
		if !ok {
			return errGreeting
		}
		v.client, v.here = client, here
	}
	return v.SetReadDeadline(time.Time{})
}

// RemoteAddr is the client's address, which a proxy may have told.
func (v *visitor) RemoteAddr() net.Addr {
	if v.client != nil {
		return v.client
	}
	return v.TCPConn.RemoteAddr()
}

// LocalAddr is the address that the client came to.
func (v *visitor) LocalAddr() net.Addr {
	if v.here != nil {
		return v.here
	}
	return v.TCPConn.LocalAddr()
}
