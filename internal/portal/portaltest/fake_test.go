package portaltest_test

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"havre/internal/portal"
	"havre/internal/portal/portaltest"
	"havre/internal/problem"
)

func TestFakeIsAPortal(t *testing.T) {
	fake := portaltest.Open(t)
	port := echo(t, "127.0.1.1:0")
	for _, at := range []string{"127.0.1.2", "127.0.1.3"} {
		echo(t, netip.AddrPortFrom(netip.MustParseAddr(at), port).String())
	}
	target := func(name string, at ...string) portal.Target {
		var all []netip.Addr
		for _, a := range at {
			all = append(all, netip.MustParseAddr(a))
		}
		fake.Place(portaltest.ID(name), all...)
		return portal.Target{Container: portaltest.ID(name), Address: all[0], Port: port}
	}
	w := portaltest.World{
		Socket: fake.Socket,
		Echo:   target("echo", "127.0.1.1"),
		Other:  target("other", "127.0.1.2"),
		Double: target("double", "127.0.1.3", "127.0.1.2"),
	}
	portaltest.RunPortal(t, func(*testing.T) portaltest.World { return w })
}

func TestClosedFakeIsUnavailable(t *testing.T) {
	fake := portaltest.Open(t)
	fake.Close()
	_, err := portal.Dial(t.Context(), fake.Socket, portal.Target{})
	if problem.KindOf(err) != problem.Unavailable {
		t.Errorf("err = %v; want unavailable", err)
	}
}

func echo(t *testing.T, on string) (port uint16) {
	t.Helper()
	l, err := net.Listen("tcp4", on)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	packets, err := net.ListenPacket("udp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			packets.WriteTo(b[:n], from)
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}
