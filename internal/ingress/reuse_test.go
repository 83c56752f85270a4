package ingress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Requests that go the plain way leave nothing to the collector but their texts.
func TestPlainRequestMakesLittleGarbage(t *testing.T) {
	w := open(t)
	answer := []byte("HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfine")
	table := web(t, w.container(func(c net.Conn) {
		defer c.Close()
		for b := make([]byte, 4096); ; {
			if _, err := c.Read(b); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	}))
	w.must(table)
	c, b := dial(t, table.HTTPPort), make([]byte, 4096)
	made := testing.AllocsPerRun(200, func() {
		io.WriteString(c, "GET /path HTTP/1.1\r\nHost: www.example\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
	})
	if made > 12 {
		t.Errorf("a request makes %v pieces of garbage", made)
	}
}

// Many at once, of all kinds: each gets its own answer, and asks its own question.
func TestNothingOfARequestIsSeenByAnother(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", r.Header.Get("X-Question"))
		said := fmt.Sprintf("%s%v%v%s", r.URL.Path, r.Header["X-Question"], r.Header["X-Odd"], body)
		switch {
		case strings.HasSuffix(r.URL.Path, "3"): // in chunks
			w.(http.Flusher).Flush()
		case strings.HasSuffix(r.URL.Path, "5"): // in several reads
			said += strings.Repeat("x", 20_000)
			w.Header().Set("Content-Length", fmt.Sprint(len(said)))
		case strings.HasSuffix(r.URL.Path, "7"):
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, said)
	})))
	w.must(table)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for k := 0; k < 100; {
				c, err := net.Dial("tcp", local(table.HTTPPort))
				if err != nil {
					t.Error(err)
					return
				}
				a := asker{t, c, bufio.NewReader(c)}
				for good := true; good && k < 100; k++ {
					good = a.ask(n, k)
				}
				c.Close()
			}
		})
	}
	all.Wait()
}

// asker is a client that knows what it should hear.
type asker struct {
	t  *testing.T
	c  net.Conn
	in *bufio.Reader
}

// ask asks question k of client n. It is false when no other can be asked.
func (a asker) ask(n, k int) bool {
	path, mine := fmt.Sprintf("/%d-%d", n, k), fmt.Sprintf("%d.%d", n, k)
	method, odd, body := "GET", "", ""
	switch {
	case k%10 == 2:
		method, body = "POST", "body of "+mine
	case k%10 == 4:
		method = "HEAD"
	case k%2 == 1:
		odd = "X-Odd: " + mine + "\r\n"
	}
	fmt.Fprintf(a.c, "%s %s HTTP/1.1\r\nHost: www.example\r\nX-Question: %s\r\n%sContent-Length: %d\r\n\r\n%s", method, path, mine, odd, len(body), body)
	answer, err := http.ReadResponse(a.in, &http.Request{Method: method})
	if err != nil {
		a.t.Errorf("%s: %v", mine, err)
		return false
	}
	got, err := io.ReadAll(answer.Body)
	if k%10 == 7 {
		if answer.StatusCode != http.StatusBadGateway {
			a.t.Errorf("%s: %s", mine, answer.Status)
		}
		return err == nil && !answer.Close
	}
	want := fmt.Sprintf("%s[%s][]%s", path, mine, body)
	if odd != "" {
		want = fmt.Sprintf("%s[%s][%s]", path, mine, mine)
	}
	if method == "HEAD" {
		want = ""
	}
	if err != nil || answer.Header.Get("X-Answer") != mine || strings.TrimRight(string(got), "x") != want {
		a.t.Errorf("%s: %q %v %v; want %q", mine, strings.TrimRight(string(got), "x"), answer.Header, err, want)
	}
	return !answer.Close
}
