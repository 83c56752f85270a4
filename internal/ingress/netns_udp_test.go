package ingress_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

// Datagrams are judged by where they truly come from, as connections are.
func TestAccessOfDatagramsHoldsOnRealNetworks(t *testing.T) { inNetns(t, datagramsOnRealNetworks) }

func datagramsOnRealNetworks(t *testing.T) {
	o, nets := realNetworks(t)
	w := open(t, func(s *ingress.Settings) { s.Bind = netip.Addr{} })
	table, ports := route.Table{}, map[spec.Access]uint16{}
	for _, access := range []spec.Access{spec.Public, spec.Private, spec.Localhost, "203.0.113.0/24", "172.18.0.0/16", "192.168.50.8/32"} {
		ports[access] = freePort(t)
		r := udpRoute(ports[access], w.talker(same))
		r.Access = access
		table.UDP = append(table.UDP, r)
	}
	w.must(table)
	check := func(from, to string, lets ...spec.Access) {
		may := map[spec.Access]bool{}
		for _, a := range lets {
			may[a] = true
		}
		conns := map[spec.Access]net.Conn{}
		for access, port := range ports {
			d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
			c, err := d.Dial("udp", net.JoinHostPort(to, fmt.Sprint(port)))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.Write([]byte("hi"))
			conns[access] = c
		}
		for access := range may { // when all who may have got their answer, the others' would have come, too
			if err := echoed(conns[access], 5*time.Second); err != nil {
				t.Errorf("from %s to %s, %s: %v", from, to, access, err)
			}
		}
		for access, c := range conns {
			if err := echoed(c, 50*time.Millisecond); !may[access] && err == nil {
				t.Errorf("from %s to %s, %s: it was let in", from, to, access)
			} else if !may[access] && !errors.Is(err, os.ErrDeadlineExceeded) && access != spec.Localhost { // nobody listens there
				t.Errorf("from %s to %s, %s: %v; a stranger hears nothing", from, to, access, err)
			}
		}
	}
	o.do(func() {
		check(nets[0].client, nets[0].machine, spec.Public, spec.Private)
		check(nets[1].client, nets[1].machine, spec.Public)
		check(nets[2].client, nets[2].machine, spec.Public, "203.0.113.0/24")
	})
	check("127.0.0.1", "127.0.0.1", spec.Public, spec.Private, spec.Localhost)
}

func echoed(c net.Conn, within time.Duration) error {
	c.SetReadDeadline(time.Now().Add(within))
	b := make([]byte, 10)
	n, err := c.Read(b)
	if err == nil && string(b[:n]) != "hi" {
		err = fmt.Errorf("%q", b[:n])
	}
	return err
}

// Whoever has one address of an IPv6 network has them all, so they are one
// client: to the flows of all ports, and to the connections of one.
func TestAddressesOfOneNetworkAreOneClient(t *testing.T) { inNetns(t, addressesOfOneNetwork) }

func addressesOfOneNetwork(t *testing.T) {
	ip(t, "link set lo up")
	ip(t, "-6 route add local 2001:db8::/32 dev lo")
	if err := os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	w := open(t, func(s *ingress.Settings) { s.Bind, s.MaxConns = netip.Addr{}, 24 })
	bytes, datagrams := freePort(t), freePort(t)
	table := onlyUDP(datagrams, w.talker(same))
	table.TCP = []route.TCP{tcpRoute(bytes, w.echoes())}
	w.must(table)
	at := func(port uint16) string { return netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), port).String() }
	neighbour := func(n int) net.IP { return net.ParseIP(fmt.Sprintf("2001:db8:0:7::%x", n+1)) }
	speaks := func(client net.IP) net.Conn {
		d := net.Dialer{LocalAddr: &net.UDPAddr{IP: client}}
		c, err := d.Dial("udp", at(datagrams))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for i := range 600 {
		c := speaks(neighbour(i))
		c.Write([]byte("flood"))
		c.Close()
	}
	last := speaks(neighbour(600))
	defer last.Close()
	if heard := asks(t, last, "the last"); heard != "the last" {
		t.Errorf("heard %q", heard)
	}
	eventually(t, "the flows that gave way to end", func() error {
		if n := w.flowsOn(datagrams); n > 512 {
			return fmt.Errorf("%d flows at once", n)
		}
		return nil
	})
	for i := range 12 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: neighbour(i)}}
		c, err := d.Dial("tcp", at(bytes))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		talk(t, c, "hello")
	}
	if word, err := tcpFrom(neighbour(13).String(), "2001:db8::1", bytes); err == nil {
		t.Errorf("one more of them got %q; want a reset", word)
	}
	if l := w.listener(fmt.Sprintf(":%d/tcp", bytes)); l.Beyond != 1 {
		t.Errorf("%d were beyond the share", l.Beyond)
	}
}
