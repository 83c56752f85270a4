package ingress_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

func dialFrom(t testing.TB, client string, port uint16) net.Conn {
	t.Helper()
	d := from(client)
	c, err := d.Dial("tcp", local(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// hoard opens 60 connections from an address, and says a little by each, as
// somebody does who wants to keep them.
func hoard(t *testing.T, client string, port uint16, word string) (kept []net.Conn) {
	t.Helper()
	d := from(client)
	for range 60 {
		c, err := d.Dial("tcp", local(port))
		if errors.Is(err, syscall.ECONNRESET) { // cut off already
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, word) // nobody hears it where he is cut off now
		kept = append(kept, c)
	}
	return kept
}

// passes tells whether somebody at client is served at port.
func passes(client string, port uint16) error {
	d := from(client)
	c, err := d.Dial("tcp", local(port))
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return exchange(c, "hello")
}

// journal is a log that tests can read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) says(word string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), word)
}

// Somebody opens all the connections that he can, from one address and then
// from more of them. Who comes after him is served all the same, and when he
// has gone he is a client like any other.
func TestOneClientDoesNotFillAPort(t *testing.T) {
	for what, socket := range map[string]bool{"by the relay": true, "without it": false} {
		t.Run(what, func(t *testing.T) {
			var log journal
			w, port := open(t, func(s *ingress.Settings) {
				s.MaxConns, s.Log = 24, slog.New(slog.NewTextHandler(&log, nil))
				if !socket {
					s.Ask = nil
				}
			}), freePort(t)
			w.must(onlyTCP(port, w.echoes()))
			all := hoard(t, "127.0.0.66", port, "hel")
			if err := passes("127.0.0.7", port); err != nil {
				t.Fatalf("who comes after: %v", err)
			}
			name := fmt.Sprintf(":%d/tcp", port)
			if l := w.listener(name); l.Beyond != 60-12 || l.Now > 13 {
				t.Errorf("%d open, %d were beyond the share, of 60; want half of 24 open", l.Now, l.Beyond)
			}
			if n := log.says("client=127.0.0.66/32"); n != 1 {
				t.Errorf("%d lines in the log, want one: %s", n, &log.text)
			}
			for _, accomplice := range []string{"127.0.0.67", "127.0.0.68"} { // a fourth of all for each of the three
				all = append(all, hoard(t, accomplice, port, "hel")...)
			}
			if err := passes("127.0.0.7", port); err != nil {
				t.Errorf("who comes after three of them: %v", err)
			}
			for _, c := range all {
				c.Close()
			}
			eventually(t, "all to be gone", func() error {
				if l := w.listener(name); l.Now > 0 {
					return fmt.Errorf("%d are open", l.Now)
				}
				return nil
			})
			for range 12 {
				talk(t, dialFrom(t, "127.0.0.66", port), "again")
			}
		})
	}
}

func TestOneClientDoesNotFillHTTP(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.MaxConns = 24 })
	table := web(t, w.serves(says("web")))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	hoard(t, "127.0.0.66", table.HTTPPort, "GET / HT")
	hoard(t, "127.0.0.66", table.HTTPSPort, "\x16\x03\x01\x02\x00\x01\x00") // half a hello
	for url, c := range map[string]*http.Client{"http://www.example/": browser(t, table.HTTPPort), "https://www.example/": secureBrowser(t, table.HTTPSPort, roots)} {
		if _, body := get(t, c, url); body != "web" {
			t.Errorf("%s: %q", url, body)
		}
	}
	for _, l := range w.status().Listeners {
		if l.Beyond != 60-12 {
			t.Errorf("%s: %d were beyond the share", l.Listen, l.Beyond)
		}
	}
}

// Behind a proxy that says for whom it comes, they are told apart by what it
// says; before it did, and for its own questions, it has no share.
func TestShareIsOfTheClientThatAProxyNames(t *testing.T) {
	w, port := open(t, func(s *ingress.Settings) {
		s.MaxConns, s.Proxies = 24, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	}), freePort(t)
	w.must(onlyTCP(port, w.echoes()))
	names := func(h *proxyproto.Header) net.Conn {
		c := dial(t, port)
		if _, err := h.WriteTo(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	client := func(address string) *proxyproto.Header {
		return proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)), &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 25})
	}
	for i := range 12 { // all of one /64
		talk(t, names(client(fmt.Sprintf("[2001:db8:0:7::%x]:4711", i))), "hello")
	}
	if b, err := io.ReadAll(names(client("[2001:db8:0:7::ffff]:4711"))); err == nil {
		t.Errorf("one of a /64 that has its share got %q; want a reset", b)
	}
	talk(t, names(client("[2001:db8:0:8::1]:4711")), "the /64 beside it")
	for range 11 {
		talk(t, names(&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}), "the proxy itself")
	}
	if l := w.listener(fmt.Sprintf(":%d/tcp", port)); l.Now != 24 || l.Beyond != 1 {
		t.Errorf("%d open, %d beyond the share", l.Now, l.Beyond)
	}
}

// A trusted proxy carries everybody, and at a port of this machine alone
// everybody is this machine: both may have all.
func TestProxiesAndThisMachineMayFillAPort(t *testing.T) {
	for what, change := range map[string]func(*ingress.Settings, *route.TCP){
		"trusted": func(s *ingress.Settings, _ *route.TCP) {
			s.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		},
		"a port of this machine alone": func(_ *ingress.Settings, r *route.TCP) { r.Access = spec.Localhost },
	} {
		t.Run(what, func(t *testing.T) {
			way := tcpRoute(freePort(t))
			w := open(t, func(s *ingress.Settings) { s.MaxConns = 8; change(s, &way) })
			way.Targets = []route.Target{w.echoes()}
			w.must(route.Table{TCP: []route.TCP{way}})
			for range 8 {
				talk(t, dial(t, way.Listen), "hello")
			}
			if word, err := read(t, way.Listen); err == nil {
				t.Errorf("one more got %q; want a reset", word)
			}
			if l := w.listener(fmt.Sprintf(":%d/tcp", way.Listen)); l.Crowded != 1 || l.Beyond != 0 {
				t.Errorf("%d crowded, %d beyond a share", l.Crowded, l.Beyond)
			}
		})
	}
}

func TestShareIsAsMuchAsIsFree(t *testing.T) {
	var s ingress.Shares
	const most = 100
	now := int64(0)
	takes := func(client string, many int) (had int) {
		for range many {
			if ok, _ := s.Take(client, most-now-1); ok {
				now++
				had++
			}
		}
		return had
	}
	for _, step := range []struct {
		client string
		want   int
	}{
		{"192.0.2.1", 50},
		{"2001:db8:0:1::1", 25},
		{"2001:db8:0:1:ffff::1", 0}, // of the same /64
		{"2001:db8:0:2::1", 13},     // of another
		{"::ffff:192.0.2.1", 0},     // the first once more
		{"192.0.2.2", 6},
	} {
		if had := takes(step.client, most); had != step.want {
			t.Errorf("%s got %d, with %d taken; want %d", step.client, had, now, step.want)
		}
	}
	for client := range 6 { // everybody else finds a place
		if had := takes(fmt.Sprintf("198.51.100.%d", client), 1); had != 1 {
			t.Errorf("a newcomer got none, with %d taken", now)
		}
	}
}

func TestClientWithoutConnectionsIsForgotten(t *testing.T) {
	var s ingress.Shares
	for range 3 {
		for client := range 200 {
			if ok, _ := s.Take(fmt.Sprintf("192.0.2.%d", client), 1000); !ok {
				t.Fatal("there is room")
			}
		}
	}
	if ok, tell := s.Take("192.0.2.7", 2); ok || !tell {
		t.Errorf("beyond the share: let in %v, told %v", ok, tell)
	}
	if ok, tell := s.Take("192.0.2.8", 2); ok || tell {
		t.Errorf("again within a minute: let in %v, told %v", ok, tell)
	}
	for client := range 199 {
		for range 3 {
			s.Give(fmt.Sprintf("192.0.2.%d", client))
		}
	}
	if n := s.Clients(); n != 1 {
		t.Errorf("%d clients are known; one has connections", n)
	}
}
