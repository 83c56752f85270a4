package ingress_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

// So it is when a container that writes is stopped before its successor starts.
func TestConnectionsAreHeldWhileThereIsNoContainer(t *testing.T) {
	w, port := open(t, func(s *ingress.Settings) { s.Hold = 20 * time.Second }), freePort(t)
	table := web(t)
	table.TCP = onlyTCP(port).TCP
	w.must(table)
	answered := make(chan error, 1)
	go func() {
		r, err := browser(t, table.HTTPPort).Get("http://www.example/")
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
		}
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("answered %s", r.Status)
		}
		answered <- err
	}()
	c := dial(t, port)
	for _, name := range []string{fmt.Sprintf(":%d/tcp", port), fmt.Sprintf(":%d/http", table.HTTPPort)} {
		eventually(t, "somebody at "+name, func() error {
			if n := w.listener(name); n.Now != 1 {
				return fmt.Errorf("%+v", n)
			}
			return nil
		})
	}
	next := web(t, w.serves(says("at last")))
	next.HTTPPort, next.HTTPSPort = table.HTTPPort, table.HTTPSPort
	next.TCP = onlyTCP(port, w.echoes()).TCP
	w.must(next)
	talk(t, c, "hello")
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// The portal says first that nobody listens there. Whoever waits then has been
// counted, and must not be again.
func TestWhoWaitsForAContainerIsJudgedOnce(t *testing.T) {
	w, port := open(t, func(s *ingress.Settings) { s.Hold = 20 * time.Second }), freePort(t)
	once := func(targets ...route.Target) route.Table {
		table := onlyTCP(port, targets...)
		table.TCP[0].Rate = spec.Rate{Events: 1, Per: spec.Duration(time.Hour)}
		return table
	}
	w.must(once(w.placed(netip.MustParseAddr("127.0.1.250"), freePort(t))))
	c := dial(t, port)
	eventually(t, "somebody who waits", func() error {
		if n := w.listener(fmt.Sprintf(":%d/tcp", port)); n.Now != 1 {
			return fmt.Errorf("%+v", n)
		}
		return nil
	})
	w.must(once(w.echoes()))
	talk(t, c, "hello")
}

// Its names are its own though it does not run: no other service answers there,
// and a client that comes hears at once when to come again.
func TestStoppedServiceKeepsItsNames(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Hold = 20 * time.Second })
	table := web(t, w.tells("www"))
	table.Pass = []route.Pass{{Host: "own.example", Access: spec.Public, Service: "prod.own.tls", Stopped: true}}
	at(&table, "*.example", spec.Front{}, w.tells("any"))
	at(&table, "paths.example", spec.Front{}, w.tells("root"))
	at(&table, "paths.example/api", spec.Front{})
	at(&table, "down.example", spec.Front{})
	for i := range table.HTTP[len(table.HTTP)-2:] {
		table.HTTP[len(table.HTTP)-2+i].Stopped = true
	}
	roots := certified(t, &table, []string{"*.example"})
	w.must(table)
	for what, c := range map[string]*http.Client{"http": browser(t, table.HTTPPort), "https": secureBrowser(t, table.HTTPSPort, roots)} {
		for host, want := range map[string]string{"down.example/": "503", "paths.example/api/x": "503", "paths.example/": "root / ", "up.example/": "any / "} {
			began := time.Now()
			answer, body := get(t, c, what+"://"+host)
			if answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != "" {
				body = "503"
			}
			if body != want || time.Since(began) > 10*time.Second {
				t.Errorf("%s://%s: %d %q after %s; want %s", what, host, answer.StatusCode, body, time.Since(began), want)
			}
		}
	}
	began := time.Now()
	c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{ServerName: "own.example", RootCAs: roots})
	if time.Since(began) > 10*time.Second {
		t.Error("who asks for a name that is passed through is held")
	}
	if err == nil {
		c.Close()
		t.Error("another one answers for a name that is passed through")
	}
}

// Its predecessor took its time to leave, and it takes its own until it listens:
// who was held for the one has not used up the patience for the other.
func TestWhoWasHeldLongWaitsForWhatHasJustStarted(t *testing.T) {
	t.Parallel()
	w, port := open(t, func(s *ingress.Settings) { s.Hold = 25 * time.Second }), freePort(t)
	table := web(t)
	table.TCP = onlyTCP(port).TCP
	w.must(table)
	answered := make(chan error, 2)
	go func() {
		r, err := browser(t, table.HTTPPort).Get("http://www.example/")
		if err == nil && r.StatusCode != http.StatusOK {
			err = errors.New(r.Status)
		}
		answered <- err
	}()
	go func() {
		c := dial(t, port)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")
		_, err := c.Read(make([]byte, 1))
		answered <- err
	}()
	still := func(d time.Duration) {
		t.Helper()
		select {
		case err := <-answered:
			t.Fatalf("answered too soon: %v", err)
		case <-time.After(d):
		}
	}
	still(6 * time.Second)
	at := netip.MustParseAddr("127.0.1.99")
	inside := freePort(t)
	target := w.placed(at, inside)
	table.HTTP[0].Targets, table.TCP[0].Targets = []route.Target{target}, []route.Target{target}
	w.must(table)
	still(time.Second)
	l, err := net.Listen("tcp", netip.AddrPortFrom(at, inside).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: says("hi")}
	go server.Serve(l)
	defer server.Close()
	for range 2 {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
}
