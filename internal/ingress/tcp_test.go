package ingress_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/portal/portaltest"
	"havre/internal/route"
	"havre/internal/spec"
)

func TestTCPPortLeadsToAContainer(t *testing.T) {
	w, port := open(t), freePort(t)
	w.must(onlyTCP(port, w.echoes()))
	talk(t, dial(t, port), "EHLO there\r\n")
}

func TestConnectionsGoWhereFewestAre(t *testing.T) {
	w, port := open(t), freePort(t)
	greets := func(word string) route.Target {
		return w.container(func(c net.Conn) {
			io.WriteString(c, word)
			echo(c)
		})
	}
	w.must(onlyTCP(port, greets("a"), greets("b"), greets("c")))
	count := map[string]int{}
	for range 9 {
		word := make([]byte, 1)
		if _, err := io.ReadFull(dial(t, port), word); err != nil { // it stays
			t.Fatal(err)
		}
		count[string(word)]++
	}
	if count["a"] != 3 || count["b"] != 3 || count["c"] != 3 {
		t.Errorf("of 9 connections: %v", count)
	}
}

func TestContainerThatRefusesIsPassedOver(t *testing.T) {
	w, port := open(t), freePort(t)
	good, bad, gone := w.says("good"), w.says("bad"), w.says("gone")
	bad.Port = freePort(t)                  // nothing listens there
	gone.Container = portaltest.ID("other") // the portal knows no such container
	w.must(onlyTCP(port, bad, good, gone))
	for range 6 {
		if word, err := read(t, port); err != nil || word != "good" {
			t.Errorf("%q, %v", word, err)
		}
	}
	w.must(onlyTCP(port, bad, gone))
	if word, err := read(t, port); err == nil {
		t.Errorf("with no container left: %q; want a reset", word)
	}
	if l := w.listener(fmt.Sprintf(":%d/tcp", port)); l.Failed != 1 || l.Total != 7 {
		t.Errorf("failed %d of %d", l.Failed, l.Total)
	}
}

// The story: a container ends, another one gets its address within a second,
// and the table still says the old one lives there.
func TestAddressAloneReachesNobody(t *testing.T) {
	w, port := open(t), freePort(t)
	old := w.says("secret of another app")
	w.must(onlyTCP(port, old))
	w.portal.Place(old.Container) // gone
	w.portal.Place(portaltest.ID("another"), old.Address)
	if word, err := read(t, port); err == nil || word != "" {
		t.Errorf("reached %q, %v", word, err)
	}
}

func TestAddressAloneReachesNobodyByHTTP(t *testing.T) {
	w := open(t)
	old := w.serves(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "secret of another app") }))
	table := web(t, old)
	w.must(table)
	w.portal.Place(old.Container) // gone
	w.portal.Place(portaltest.ID("another"), old.Address)
	if a, text := get(t, browser(t, table.HTTPPort), "http://www.example/"); a.StatusCode != http.StatusBadGateway && a.StatusCode != http.StatusServiceUnavailable || strings.Contains(text, "secret") {
		t.Errorf("reached %d %q", a.StatusCode, text)
	}
}

func TestWithoutContainersThePortResets(t *testing.T) {
	w, port := open(t), freePort(t)
	w.must(onlyTCP(port))
	if word, err := read(t, port); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q, %v", word, err)
	}
}

func TestOneSideMayBeDoneWhileTheOtherSpeaks(t *testing.T) {
	w, port := open(t), freePort(t)
	late := make(chan struct{})
	sums := w.container(func(c net.Conn) {
		defer c.Close()
		h := sha256.New()
		n, err := io.Copy(h, c) // ends when the client says that it is done
		<-late
		fmt.Fprintf(c, "%d %x %v", n, h.Sum(nil), err)
	})
	first := w.container(func(c net.Conn) {
		defer c.Close()
		io.WriteString(c, "all I have")
		c.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(c); err != nil || string(b) != "thanks" {
			t.Errorf("after it was done the container got %q, %v", b, err)
		}
	})
	w.must(onlyTCP(port, sums))
	c := dial(t, port)
	data := make([]byte, 3<<20)
	rand.Read(data)
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	close(late)
	want := fmt.Sprintf("%d %x <nil>", len(data), sha256.Sum256(data))
	if b, err := io.ReadAll(c); err != nil || string(b) != want {
		t.Errorf("%q, %v; want %q", b, err, want)
	}

	w.must(onlyTCP(port, first))
	c = dial(t, port)
	if b, err := io.ReadAll(c); err != nil || string(b) != "all I have" {
		t.Errorf("%q, %v", b, err)
	}
	io.WriteString(c, "thanks")
	c.CloseWrite()
	eventually(t, "the connection to end", func() error {
		if n := w.listener(fmt.Sprintf(":%d/tcp", port)).Now; n != 0 {
			return fmt.Errorf("%d open", n)
		}
		return nil
	})
}

func TestBrokenConnectionIsNotPassedOffAsAFinishedOne(t *testing.T) {
	w, port := open(t), freePort(t)
	breaks := w.container(func(c net.Conn) {
		io.WriteString(c, "half a mes")
		io.ReadFull(c, make([]byte, 2))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	})
	w.must(onlyTCP(port, breaks))
	c := dial(t, port)
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, "go")
	b, err := io.ReadAll(c)
	if !errors.Is(err, syscall.ECONNRESET) || string(b) != "half a mes" {
		t.Errorf("%q, %v; want the first half and a reset", b, err)
	}

	heard := make(chan error, 1)
	hears := w.container(func(c net.Conn) {
		defer c.Close()
		io.WriteString(c, "!")
		_, err := io.ReadAll(c)
		heard <- err
	})
	w.must(onlyTCP(port, hears))
	c = dial(t, port)
	io.ReadFull(c, make([]byte, 1))
	c.SetLinger(0)
	c.Close()
	select {
	case err := <-heard:
		if err == nil {
			t.Error("to the container a broken connection looks finished")
		}
	case <-time.After(20 * time.Second):
		t.Error("the container did not hear that the client is gone")
	}
}

func TestWhatWasSaidBeforeAHangUpArrives(t *testing.T) {
	const words = "413 that is too much\r\n"
	w, port := open(t), freePort(t)
	w.must(onlyTCP(port, w.container(func(c net.Conn) {
		io.ReadFull(c, make([]byte, 100_000))
		io.WriteString(c, words)
		c.Close() // with the client's bytes unread, so the kernel resets
	})))
	data := make([]byte, 8<<20)
	for range 50 {
		c := dial(t, port)
		var writing sync.WaitGroup
		writing.Go(func() { c.Write(data) })
		b := make([]byte, len(words))
		n, err := io.ReadFull(c, b)
		if string(b[:n]) != words {
			t.Fatalf("the client got %q, %v", b[:n], err)
		}
		c.Close()
		writing.Wait()
	}
}

func TestAThousandConnectionsLeaveNothingBehind(t *testing.T) {
	const many = 1000
	w, port := open(t), freePort(t)
	w.must(onlyTCP(port, w.echoes(), w.echoes()))
	talk(t, dial(t, port), "warm")
	before := runtime.NumGoroutine()
	conns := make([]net.Conn, many)
	errs := make([]error, many)
	var all sync.WaitGroup
	room := make(chan struct{}, 50)
	for i := range conns {
		all.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			conns[i], errs[i] = net.DialTimeout("tcp", local(port), 20*time.Second)
			if errs[i] == nil {
				conns[i].SetDeadline(time.Now().Add(time.Minute))
				errs[i] = exchange(conns[i], fmt.Sprintf("I am %d", i))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if l := w.listener(fmt.Sprintf(":%d/tcp", port)); l.Now < many {
		t.Errorf("%d open; want %d", l.Now, many)
	}
	for i, c := range conns { // all of them still speak
		if err := exchange(c, fmt.Sprintf("still %d", i)); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	eventually(t, "the goroutines to end", func() error {
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d, before there were %d", n, before)
		}
		return nil
	})
}

func TestMoreThanThePortHoldsAreTurnedAway(t *testing.T) {
	w, port := open(t, func(s *ingress.Settings) { s.MaxConns = 2 }), freePort(t)
	w.must(onlyTCP(port, w.echoes()))
	first, second := dial(t, port), dialFrom(t, "127.0.0.2", port)
	talk(t, first, "one")
	talk(t, second, "two")
	if word, err := tcpFrom("127.0.0.3", "127.0.0.1", port); err == nil {
		t.Errorf("a third got %q; want a reset", word)
	}
	talk(t, first, "still")
	second.Close()
	eventually(t, "room for another", func() error {
		d := from("127.0.0.3")
		c, err := d.Dial("tcp", local(port))
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		return exchange(c, "three")
	})
	if l := w.listener(fmt.Sprintf(":%d/tcp", port)); l.Crowded == 0 {
		t.Error("nobody was counted as turned away")
	}
}

func TestNewTableKeepsOpenConnections(t *testing.T) {
	w, stays, goes, comes := open(t), freePort(t), freePort(t), freePort(t)
	old, next := w.echoes(), w.says("next")
	w.must(route.Table{TCP: []route.TCP{tcpRoute(stays, old), tcpRoute(goes, old)}})
	a, b := dial(t, stays), dial(t, goes)
	talk(t, a, "a")
	talk(t, b, "b")

	w.must(route.Table{TCP: []route.TCP{tcpRoute(stays, next), tcpRoute(comes, next)}})
	talk(t, a, "still a")
	talk(t, b, "still b")
	for _, port := range []uint16{stays, comes} {
		if word, err := read(t, port); err != nil || word != "next" {
			t.Errorf("a new connection to %d: %q, %v", port, word, err)
		}
	}
	if c, err := net.Dial("tcp", local(goes)); err == nil {
		c.Close()
		t.Error("the port that went still listens")
	}
	if l := w.listener(fmt.Sprintf(":%d/tcp", stays)); l.Total != 2 {
		t.Errorf("the port that stayed counts %d; it was opened anew", l.Total)
	}
	w.must(route.Table{})
	talk(t, a, "even now")
	if l := w.status().Listeners; len(l) != 0 {
		t.Errorf("listeners = %v", l)
	}
}

func TestEndOfTheIngressEndsConnections(t *testing.T) {
	w, port := newWorld(t), freePort(t)
	stop := w.start()
	w.must(onlyTCP(port, w.echoes()))
	c := dial(t, port)
	talk(t, c, "hello")
	stop()
	if b, err := io.ReadAll(c); err == nil {
		t.Errorf("%q; want a reset", b)
	}
}

func TestPortForLocalhostIsBoundToTheLoopback(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Bind = netip.Addr{} })
	far, near := freePort(t), freePort(t)
	hi := w.says("hi")
	r := tcpRoute(near, hi)
	r.Access = spec.Localhost
	w.must(route.Table{TCP: []route.TCP{tcpRoute(far, hi), r}})
	for _, own := range ownAddresses(t) {
		for _, port := range []uint16{far, near} {
			c, err := net.Dial("tcp", netip.AddrPortFrom(own, port).String())
			if want := port == far || own.IsLoopback(); want != (err == nil) {
				t.Errorf("%v, port of localhost alone: %v: %v", own, port == near, err)
			}
			if err != nil {
				continue
			}
			if b, err := io.ReadAll(c); err != nil || string(b) != "hi" {
				t.Errorf("%v: %q, %v", own, b, err)
			}
			c.Close()
		}
	}
	r.Access = spec.Public // the same port opens up
	w.must(route.Table{TCP: []route.TCP{r}})
	for _, own := range ownAddresses(t) {
		c, err := net.Dial("tcp", netip.AddrPortFrom(own, near).String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// ownAddresses are the machine's, IPv6 too where there is any.
func ownAddresses(t *testing.T) []netip.Addr {
	t.Helper()
	links, err := ingress.Machine()
	if err != nil {
		t.Fatal(err)
	}
	var all []netip.Addr
	for _, l := range links {
		for _, p := range l.Prefixes {
			if !p.Addr().IsLinkLocalUnicast() {
				all = append(all, p.Addr())
			}
		}
	}
	return all
}
