package ingress_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Large bodies of known length go from kernel to kernel where they can.
func TestLargeAnswersArriveWholeOnKeptConnections(t *testing.T) {
	w := open(t)
	whole := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		w.Write(whole)
	})))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	secure, plain := secureBrowser(t, table.HTTPSPort, roots), browser(t, table.HTTPPort)
	for range 3 {
		for what, c := range map[string]*http.Client{"http": plain, "https": secure} {
			r, err := http.NewRequest("GET", what+"://www.example/", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil || !bytes.Equal(body, whole) {
				t.Errorf("%s: %d bytes, %v", what, len(body), err)
			}
		}
	}
}

func TestLargeAnswerThatBreaksOffDoesNotLookWhole(t *testing.T) {
	w := open(t)
	table := web(t, w.container(func(c net.Conn) {
		defer c.Close()
		c.Read(make([]byte, 1024))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n%s", strings.Repeat("x", 1_000_000))
	}))
	w.must(table)
	r, err := http.NewRequest("GET", "http://www.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := browser(t, table.HTTPPort).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	// Nor is the client left waiting for the rest.
	if n, err := io.Copy(io.Discard, answer.Body); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) || n > 1_000_000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// It has no length to be too short for, so its end must not be said.
func TestAnswerInPiecesThatBreaksOffDoesNotLookWhole(t *testing.T) {
	w := open(t)
	table := web(t, w.container(func(c net.Conn) {
		defer c.Close()
		c.Read(make([]byte, 1024))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	}))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	secure, plain := secureBrowser(t, table.HTTPSPort, roots), browser(t, table.HTTPPort)
	for what, c := range map[string]*http.Client{"http": plain, "https": secure} {
		for _, te := range []string{"", "trailers"} { // the second is for net/http's server
			r, err := http.NewRequest("GET", what+"://www.example/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if te != "" {
				r.Header.Set("TE", te)
			}
			answer, err := c.Do(r)
			if err != nil {
				continue // it came so early that nothing was passed on
			}
			if body, err := io.ReadAll(answer.Body); err == nil {
				t.Errorf("%s %s: %q looks whole", what, te, body)
			}
			answer.Body.Close()
		}
	}
}

// What says nothing about its kind gets no guess of ours.
func TestAnswerWithoutATypeGetsNone(t *testing.T) {
	w := open(t)
	table := web(t, w.scripted(func(_, _ int) string { return fine }))
	w.must(table)
	for _, fields := range []string{"", "TE: trailers\r\n"} { // the second is for net/http's server
		c := dial(t, table.HTTPPort)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\n"+fields+"\r\n")
		b := make([]byte, 4096)
		if n, err := c.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200 OK\r\n") || strings.Contains(string(b[:n]), "Content-Type") {
			t.Errorf("%q, %v", b[:n], err)
		}
	}
}
