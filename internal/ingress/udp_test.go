package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/ingress"
	"havre/internal/portal/portaltest"
	"havre/internal/route"
	"havre/internal/spec"
)

// talker is a container that answers datagrams by answer, none when it is nil.
func (w *world) talker(answer func([]byte) []byte) route.Target {
	w.t.Helper()
	at := netip.AddrFrom4([4]byte{127, 0, 1, byte(w.last.Add(1))})
	return w.talkerAt(netip.AddrPortFrom(at, 0), answer)
}

func (w *world) talkerAt(at netip.AddrPort, answer func([]byte) []byte) route.Target {
	w.t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		w.t.Fatal(err)
	}
	var serving sync.WaitGroup
	w.t.Cleanup(func() {
		c.Close()
		serving.Wait()
	})
	serving.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if back := answer(b[:n]); back != nil {
				c.WriteToUDPAddrPort(back, from)
			}
		}
	})
	return w.placed(at.Addr(), c.LocalAddr().(*net.UDPAddr).AddrPort().Port())
}

func same(b []byte) []byte { return b }

func named(name string) func([]byte) []byte {
	return func(b []byte) []byte { return append([]byte(name+" "), b...) }
}

func udpRoute(port uint16, targets ...route.Target) route.UDP {
	return route.UDP{Listen: port, Access: spec.Public, Service: "prod.net.dns", Targets: targets}
}

func onlyUDP(port uint16, targets ...route.Target) route.Table {
	return route.Table{UDP: []route.UDP{udpRoute(port, targets...)}}
}

func client(t testing.TB, port uint16) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", local(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// asks sends a word and gives the answer, again and again as who speaks UDP has
// to. It waits for long before, because a second answer to this word would be
// taken for the one to the next.
func asks(t testing.TB, c net.Conn, word string) string {
	t.Helper()
	var heard string
	b := make([]byte, 64<<10)
	eventually(t, "an answer to "+word, func() error {
		if _, err := c.Write([]byte(word)); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := c.Read(b)
		heard = string(b[:n])
		return err
	})
	return heard
}

func (w *world) flowsOn(port uint16) int64 {
	return w.listener(fmt.Sprintf(":%d/udp", port)).Now
}

func TestThousandDatagramsGoBothWaysForTwoClients(t *testing.T) {
	w := open(t)
	port := freePort(t)
	w.must(onlyUDP(port, w.talker(same)))
	var players sync.WaitGroup
	for player := range 2 {
		c := client(t, port)
		players.Go(func() {
			b := make([]byte, 2000)
			for i := range 1000 {
				said := fmt.Sprintf("player %d moves %d", player, i)
				c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := c.Write([]byte(said)); err != nil {
					t.Error(err)
					return
				}
				n, err := c.Read(b)
				if err != nil || string(b[:n]) != said {
					t.Errorf("heard %q, %v; want %q", b[:n], err, said)
					return
				}
			}
		})
	}
	players.Wait()
	if l := w.listener(fmt.Sprintf(":%d/udp", port)); l.Total != 2 || l.Now != 2 || l.Service != "prod.net.dns" {
		t.Errorf("listener = %+v; want a flow for each player", l)
	}
}

func TestLargestAndEmptyDatagramsPass(t *testing.T) {
	w := open(t)
	port := freePort(t)
	w.must(onlyUDP(port, w.talker(same)))
	c := client(t, port)
	asks(t, c, "begin")
	for _, size := range []int{0, 1, 1472, 65507} {
		said := string(make([]byte, size))
		if heard := asks(t, c, said); heard != said {
			t.Errorf("%d bytes came back as %d", size, len(heard))
		}
	}
}

func TestSilentFlowEnds(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.UDPIdle = 100 * time.Millisecond })
	port := freePort(t)
	w.must(onlyUDP(port, w.talker(same)))
	c := client(t, port)
	asks(t, c, "hello")
	eventually(t, "the flow to end", func() error {
		if s := w.status(); len(s.Open) > 0 || w.flowsOn(port) > 0 {
			return fmt.Errorf("open: %v", s.Open)
		}
		return nil
	})
	if heard := asks(t, c, "again"); heard != "again" {
		t.Errorf("heard %q after the flow ended", heard)
	}
}

func TestFlowsStayWithTheirContainerAtASwitchAndNewOnesGoToTheNext(t *testing.T) {
	w := open(t)
	port := freePort(t)
	old, next := w.talker(named("old")), w.talker(named("next"))
	w.must(onlyUDP(port, old))
	c := client(t, port)
	asks(t, c, "x")
	w.must(onlyUDP(port, next))
	if heard := asks(t, c, "y"); heard != "old y" {
		t.Errorf("who was there heard %q", heard)
	}
	if n := w.status().Open[old.Container]; n != 1 {
		t.Errorf("%d open to the old container; want 1, that it be waited for", n)
	}
	if heard := asks(t, client(t, port), "z"); heard != "next z" {
		t.Errorf("who came heard %q", heard)
	}
}

func TestFlowToAContainerThatLeftAndIsSilentGoesToTheNext(t *testing.T) {
	w := open(t)
	port := freePort(t)
	var old, next atomic.Int64
	count := func(n *atomic.Int64) func([]byte) []byte {
		return func([]byte) []byte { n.Add(1); return nil }
	}
	first := w.talker(count(&old))
	w.must(onlyUDP(port, first)) // as syslog: it never answers
	c := client(t, port)
	eventually(t, "the first line", func() error {
		c.Write([]byte("line"))
		if old.Load() == 0 {
			return errors.New("nothing yet")
		}
		return nil
	})
	w.must(onlyUDP(port, w.talker(count(&next))))
	eventually(t, "lines at the next", func() error {
		c.Write([]byte("line"))
		if next.Load() == 0 {
			return errors.New("nothing yet")
		}
		return nil
	})
	eventually(t, "the old one to be left alone", func() error {
		if n := w.status().Open[first.Container]; n > 0 {
			return fmt.Errorf("%d open", n)
		}
		return nil
	})
}

// The address of a container that went is another's: nothing may reach that one.
func TestFlowEndsWhenItsAddressIsAnothers(t *testing.T) {
	w := open(t)
	port := freePort(t)
	var wrong atomic.Int64
	to := w.talker(func(b []byte) []byte { wrong.Add(1); return b })
	w.must(onlyUDP(port, to))
	c := client(t, port)
	asks(t, c, "x")
	w.portal.Place(to.Container) // it is gone, and what answers there is another app's
	w.portal.Place(portaltest.ID("another"), to.Address)
	eventually(t, "the flow to end", func() error {
		if n := w.flowsOn(port); n > 0 {
			return fmt.Errorf("%d flows", n)
		}
		return nil
	})
	before := wrong.Load()
	for range 20 {
		c.Write([]byte("for the first one only"))
	}
	eventually(t, "the datagrams to be refused", func() error {
		if w.listener(fmt.Sprintf(":%d/udp", port)).Failed == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if wrong.Load() != before {
		t.Errorf("%d datagrams reached another app", wrong.Load()-before)
	}
}

func TestDatagramsFromWhereTheyMayNotComeReachNobody(t *testing.T) {
	w := open(t, func(s *ingress.Settings) {
		s.Local = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		s.Interfaces = func() ([]ingress.Interface, error) { return nil, nil }
	})
	port := freePort(t)
	var reached atomic.Int64
	to := w.talker(func(b []byte) []byte { reached.Add(1); return b })
	table := onlyUDP(port, to)
	table.UDP[0].Access = "nobody"
	if _, err := w.call("PUT", "/table", table.Encode()); err == nil {
		t.Error("an unknown access was taken")
	}
	table.UDP[0].Access = spec.Private
	w.must(table)
	if heard := asks(t, client(t, port), "from here"); heard != "from here" {
		t.Errorf("heard %q", heard)
	}
	if n := reached.Load(); n == 0 {
		t.Error("this machine itself was turned away")
	}
}

// A client may have many flows; its oldest then give way, others' do not.
func TestManyFlowsOfOneClientTakeNothingFromAnother(t *testing.T) {
	w := open(t)
	port := freePort(t)
	w.must(onlyUDP(port, w.talker(same)))
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 9, 9)}}
	other, err := d.DialContext(t.Context(), "udp4", local(port))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	asks(t, other, "first")
	asks(t, other, "second")
	later := client(t, port) // has its port before the flood, so that no answer to the flood can come to it
	for range 600 {
		c, err := net.Dial("udp", local(port))
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("flood"))
		c.Close()
	}
	if heard := asks(t, later, "one more"); heard != "one more" {
		t.Errorf("heard %q", heard)
	}
	if heard := asks(t, other, "third"); heard != "third" {
		t.Errorf("the other client heard %q", heard)
	}
	eventually(t, "the flows that gave way to end", func() error {
		if n := w.flowsOn(port); n > 513 { // 512 of the flooding client, one of the other
			return fmt.Errorf("%d flows at once", n)
		}
		return nil
	})
}

// The socket listens on all addresses; a client believes only the one it asked.
func TestAnswerComesFromTheAddressThatWasAsked(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Bind = netip.Addr{} })
	port := freePort(t)
	w.must(onlyUDP(port, w.talker(same)))
	for _, asked := range []string{"127.0.0.1", "127.8.8.8", "::1"} {
		c, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(asked), port).String())
		if err != nil && asked == "::1" {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if heard := asks(t, c, "from "+asked); heard != "from "+asked { // a connected socket hears nobody else
			t.Errorf("heard %q", heard)
		}
	}
}

func TestUDPPortThatIsTakenIsAProblemWithItsHolder(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Bind = netip.Addr{} })
	port := freePort(t)
	taken, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
	if err != nil {
		t.Fatal(err)
	}
	problems := w.put(onlyUDP(port, w.talker(same)))
	if len(problems) != 1 || problems[0].Listen != fmt.Sprintf(":%d/udp", port) || problems[0].Service != "prod.net.dns" {
		t.Errorf("problems = %+v", problems)
	}
	taken.Close()
	if heard := asks(t, client(t, port), "free"); heard != "free" {
		t.Errorf("heard %q", heard)
	}
}

// When a portal goes, the sockets it handed over lose their network.
func TestFlowIsDialledAgainWhenItsSocketIsDead(t *testing.T) {
	var dials atomic.Int64
	w := open(t)
	inner := w.set.Dial
	w2 := open(t, func(s *ingress.Settings) {
		s.Dial = func(ctx context.Context, p spec.Protocol, to route.Target) (net.Conn, error) {
			if p == spec.UDP && dials.Add(1) == 1 {
				return deadSocket()
			}
			return inner(ctx, p, to)
		}
	})
	port := freePort(t)
	w2.must(onlyUDP(port, w.talker(same)))
	if heard := asks(t, client(t, port), "hello"); heard != "hello" {
		t.Errorf("heard %q", heard)
	}
}

// deadSocket is connected and cannot send, as one whose network went.
func deadSocket() (net.Conn, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(s), "dead")
	defer f.Close()
	if err := unix.Connect(s, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, err
	}
	if err := unix.Shutdown(s, unix.SHUT_WR); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}
