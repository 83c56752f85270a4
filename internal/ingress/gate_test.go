package ingress_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

// ways are the three that lead bytes as they are: TCP, TLS that is passed
// through, and UDP, each to an echo of its own.
type ways struct {
	*world
	table route.Table
	tls   *tls.Config
}

func openWays(t *testing.T, access spec.Access, rate spec.Rate) *ways {
	w, table, own, _ := passing(t)
	table.Pass[0].Access, table.Pass[0].Rate = access, rate
	tcp, udp := tcpRoute(freePort(t), w.echoes()), udpRoute(freePort(t), w.talker(same))
	tcp.Access, tcp.Rate, udp.Access, udp.Rate = access, rate, access, rate
	table.TCP, table.UDP = []route.TCP{tcp}, []route.UDP{udp}
	w.must(table)
	return &ways{w, table, &tls.Config{ServerName: "own.example", RootCAs: own}}
}

// each has somebody at an address come in by each way.
func (w *ways) each(from string) map[string]error {
	at := net.ParseIP(from)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: at}, Timeout: 5 * time.Second}
	u := net.Dialer{LocalAddr: &net.UDPAddr{IP: at}}
	say := func(c net.Conn, err error) error {
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		return exchange(c, "ahoy")
	}
	came := map[string]error{
		"tcp": say(d.Dial("tcp4", local(w.table.TCP[0].Listen))),
		"tls": say(tls.DialWithDialer(&d, "tcp4", local(w.table.HTTPSPort), w.tls)),
	}
	before := w.listener(w.udp())
	c, err := u.Dial("udp4", local(w.table.UDP[0].Listen))
	if err != nil {
		came["udp"] = err
		return came
	}
	defer c.Close()
	eventually(w.t, "the datagram to be judged", func() error {
		if _, err := c.Write([]byte("ahoy")); err != nil {
			return err
		}
		if now := w.listener(w.udp()); now.Denied > before.Denied {
			came["udp"] = errors.New("denied")
			return nil
		}
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := c.Read(make([]byte, 10))
		return err
	})
	return came
}

func (w *ways) udp() string { return fmt.Sprintf(":%d/udp", w.table.UDP[0].Listen) }

func TestListOfNetworksHoldsForBytesAsTheyAre(t *testing.T) {
	w := openWays(t, "127.0.9.0/24", spec.Rate{})
	for way, err := range w.each("127.0.9.9") {
		if err != nil {
			t.Errorf("%s from the list: %v", way, err)
		}
	}
	for _, from := range []string{"127.0.8.9", "127.0.0.1"} {
		came := w.each(from)
		for _, way := range []string{"tcp", "tls", "udp"} {
			if came[way] == nil {
				t.Errorf("%s: %s came in", way, from)
			}
		}
	}
}

func TestRateHoldsForBytesAsTheyAre(t *testing.T) {
	w := openWays(t, spec.Public, spec.Rate{Events: 2, Per: spec.Duration(time.Hour)})
	for n := range 3 {
		came := w.each("127.0.9.9")
		for _, way := range []string{"tcp", "tls", "udp"} {
			if (came[way] == nil) != (n < 2) {
				t.Errorf("%s, visit %d: %v", way, n+1, came[way])
			}
		}
	}
	for way, err := range w.each("127.0.9.10") {
		if err != nil {
			t.Errorf("%s: another client suffers: %v", way, err)
		}
	}
}

// A flow that waits for a container is judged by the table that brings one.
func TestWaitingDatagramsAreJudgedAgain(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Hold = 20 * time.Second })
	port := freePort(t)
	w.must(onlyUDP(port))
	c := client(t, port)
	c.Write([]byte("I wait"))
	eventually(t, "the flow", func() error {
		if w.flowsOn(port) == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	var reached atomic.Bool
	table := onlyUDP(port, w.talker(func(b []byte) []byte {
		if string(b) == "I wait" {
			reached.Store(true)
		}
		return b
	}))
	table.UDP[0].Access = "127.0.9.0/24"
	w.must(table)
	eventually(t, "the flow to end", func() error {
		if n := w.flowsOn(port); n > 0 {
			return fmt.Errorf("%d flows", n)
		}
		return nil
	})
	d := net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.9.9:0"))}
	listed, err := d.Dial("udp4", local(port))
	if err != nil {
		t.Fatal(err)
	}
	defer listed.Close()
	if heard := asks(t, listed, "let me in"); heard != "let me in" {
		t.Errorf("heard %q", heard)
	}
	if reached.Load() {
		t.Error("what waited reached the container")
	}
}
