package ingress_test

import (
	"fmt"
	"io"
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
