package ingress_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/route"
	"havre/internal/spec"
)

// unruly is an app whose answer is what the path asks for.
func unruly(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if r.URL.Path != "/early" {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
		}
		big := strings.Repeat("x", 1<<20)
		switch r.URL.Path {
		case "/silent": // until the ingress gives it up
			in.ReadByte()
			return
		case "/gone":
			return
		case "/half":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
			return
		case "/chunk":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")
			return
		case "/early":
			io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
			in.ReadByte()
			return
		case "/large":
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"+big); err != nil {
				return
			}
		case "/text":
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1048576\r\n\r\n"+big); err != nil {
				return
			}
		case "/not":
			io.WriteString(c, "HTTP/1.1 304 Not Modified\r\n\r\nbody")
		case "/switch":
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello")
			io.Copy(io.Discard, in)
			return
		case "/status":
			io.WriteString(c, "HTTP/1.1 007 Bond\r\n\r\n")
		case "/hints":
			io.WriteString(c, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20))
		case "/odd":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
		case "/surplus":
			io.WriteString(c, fine+fine)
		default:
			io.WriteString(c, fine)
		}
	}
}

// Whatever clients and apps do, when it is over nothing is counted as open:
// else no update would ever see that a container may be stopped.
func TestOddRequestsLeaveNothingBehind(t *testing.T) {
	w := open(t)
	table := web(t, w.container(unruly))
	at(&table, "two.example", spec.Front{Scheme: spec.H2C}, w.blunt("101"))
	at(&table, "proxy.example", spec.Front{Proxy: spec.ProxyV2}, w.container(unruly))
	roots := certified(t, &table, []string{"www.example", "two.example", "proxy.example"})
	w.must(table)
	var all sync.WaitGroup
	turn := make(chan struct{}, 32)
	come := func(visit func()) {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			visit()
		})
	}
	const patience = 200 * time.Millisecond // of clients, who then leave
	for _, path := range []string{"/", "/silent", "/gone", "/half", "/chunk", "/early", "/large", "/text", "/not", "/switch", "/status", "/hints", "/odd", "/surplus"} {
		for _, host := range []string{"www.example", "two.example", "proxy.example"} {
			for _, rest := range []string{
				" HTTP/1.1\r\nHost: %s\r\n\r\n",
				" HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: gzip\r\n\r\n",
				" HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n",
				" HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbody",
				" HTTP/1.1\r\nHost: %s\r\nContent-Length: 9999\r\n\r\nhalf of it",
				" HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
				" HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nzz",
				" HTTP/1.0\r\nHost: %s\r\n\r\n",
			} {
				request := "POST " + path + fmt.Sprintf(rest, host)
				come(func() {
					c, err := net.Dial("tcp", local(table.HTTPPort))
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					io.WriteString(c, request)
					c.SetReadDeadline(time.Now().Add(patience))
					c.Read(make([]byte, 1000)) // some of it, if anything
				})
				come(func() {
					c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{RootCAs: roots, ServerName: host})
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					io.WriteString(c, request)
					c.SetReadDeadline(time.Now().Add(patience))
					c.Read(make([]byte, 1000))
				})
			}
		}
	}
	all.Wait()
	for i := range table.HTTP {
		table.HTTP[i].Targets = nil // kept connections are let go of
	}
	w.must(table)
	eventually(t, "nothing to be open", func() error {
		b, err := w.call("GET", "/counts", nil)
		if err != nil {
			return err
		}
		var counts route.Counts
		if err := json.Unmarshal(b, &counts); err != nil {
			return err
		}
		for _, c := range counts.Counts {
			if c.Open != 0 {
				return fmt.Errorf("%s: %d", c.Service, c.Open)
			}
		}
		if s := w.status(); len(s.Open) > 0 {
			return fmt.Errorf("connections: %v", s.Open)
		}
		return nil
	})
	for _, l := range w.status().Listeners {
		if l.Now > 0 {
			t.Errorf("%s: %d", l.Listen, l.Now)
		}
	}
}
