package ingress_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// hangsUp waits until the other side has ended c, and gives what it said. It
// must not need the whole of the test's patience for that.
func hangsUp(t testing.TB, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v is still connected", c.LocalAddr())
	}
	return string(b)
}

// dribble says the same again and again, each time a little, until the other
// side is gone, for 20 seconds at most.
func dribble(c net.Conn, word string) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if _, err := io.WriteString(c, word); err != nil {
			return
		}
		<-tick.C
	}
}

// The time for a header is one for all of it: who sends a little of it again
// and again wins nothing. The same goes for the words before TLS.
func TestSlowHeadersEndWhateverComes(t *testing.T) {
	w := open(t, impatient)
	app, target := w.strict()
	table := web(t, target)
	certified(t, &table, []string{"www.example"})
	w.must(table)
	var all sync.WaitGroup
	for what, say := range map[string]func() net.Conn{
		"nothing":          func() net.Conn { return dial(t, table.HTTPPort) },
		"nothing, for TLS": func() net.Conn { return dial(t, table.HTTPSPort) },
		"half a hello": func() net.Conn {
			c := dial(t, table.HTTPSPort)
			io.WriteString(c, "\x16\x03\x01\x02\x00\x01\x00")
			return c
		},
		"half a line": func() net.Conn { c := dial(t, table.HTTPPort); io.WriteString(c, "GET / HT"); return c },
		"a header, dribbled": func() net.Conn {
			c := dial(t, table.HTTPPort)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\nX: ")
			return c
		},
		"the second request": func() net.Conn {
			c := dial(t, table.HTTPPort)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\n\r\nGET /second HTTP/1.1\r\nHost: ")
			return c
		},
		"half of HTTP/2's words": func() net.Conn { c := dial(t, table.HTTPPort); io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM"); return c },
		"within TLS": func() net.Conn {
			c := tls.Client(dial(t, table.HTTPSPort), &tls.Config{InsecureSkipVerify: true, ServerName: "www.example"})
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\nX: ")
			return c
		},
	} {
		c := say()
		all.Go(func() {
			if strings.Contains(what, "dribbled") || what == "within TLS" {
				go dribble(c, "x")
			}
			hangsUp(t, c)
		})
	}
	all.Wait()
	if seen, _, wrong := app.take(); len(seen) != 1 || len(wrong) > 0 {
		t.Errorf("the app saw %q, wrong %q", seen, wrong)
	}
}

// A body may take as long as it likes, but not stand still.
func TestBodyThatStandsStillIsGivenUp(t *testing.T) {
	w := open(t, impatient)
	gone := make(chan error, 2)
	table := web(t, w.container(func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		gone <- err
	}))
	w.must(table)
	for _, begin := range []string{"Content-Length: 100\r\n\r\nsome", "Transfer-Encoding: chunked\r\n\r\n64\r\nsome"} {
		c := dial(t, table.HTTPPort)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: www.example\r\n"+begin)
		in := bufio.NewReader(c)
		answer, err := http.ReadResponse(in, nil)
		if err != nil || answer.StatusCode != http.StatusRequestTimeout || !answer.Close {
			t.Errorf("%v, %v; want 408 and the end", answer, err)
		}
		hangsUp(t, c)
		if err := <-gone; err == nil {
			t.Error("the app took half a body for a whole one")
		}
	}
}

// floods is a container whose answer has no end. Its channel hears when the
// ingress does not take any more.
func (w *world) floods() (http.Handler, chan error) {
	ended := make(chan error, 1)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/octet-stream")
		b := make([]byte, 64<<10)
		for {
			if _, err := rw.Write(b); err != nil {
				ended <- err
				return
			}
		}
	}), ended
}

// Who asks for much and reads nothing holds an app's connection only so long.
func TestAnswerThatNobodyReadsIsGivenUp(t *testing.T) {
	w := open(t, impatient)
	h, ended := w.floods()
	table := web(t, w.serves(h))
	certified(t, &table, []string{"www.example"})
	w.must(table)
	for what, connect := range map[string]func() net.Conn{
		"HTTP": func() net.Conn { return dial(t, table.HTTPPort) },
		"HTTPS": func() net.Conn {
			return tls.Client(dial(t, table.HTTPSPort), &tls.Config{InsecureSkipVerify: true, ServerName: "www.example"})
		},
		"HTTP into a small buffer": func() net.Conn { // which stops the ingress after a few KiB
			c := dial(t, table.HTTPPort)
			c.SetReadBuffer(1)
			return c
		},
	} {
		fmt.Fprint(connect(), "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the app is still asked for more", what)
		}
	}
}

// Small answers that nobody reads fill the way as a large one does.
func TestManySmallAnswersThatNobodyReadsAreGivenUp(t *testing.T) {
	w := open(t, impatient)
	table := web(t, w.serves(says(strings.Repeat("x", 1000))))
	w.must(table)
	c := dial(t, table.HTTPPort)
	c.SetReadBuffer(1)
	ask := strings.Repeat("GET / HTTP/1.1\r\nHost: www.example\r\n\r\n", 100)
	var err error
	for err == nil { // until it waits for us to read
		_, err = io.WriteString(c, ask)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the ingress still waits")
	}
}

// An answer that takes its time, and says nothing for longer than a client may
// pause, is no slow reader's.
func TestSilenceOfAnAppIsNoFaultOfTheClient(t *testing.T) {
	w := open(t, impatient)
	table := web(t, w.serves(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/octet-stream")
		rw.Write(make([]byte, 1<<20)) // more than fits on the way
		rw.(http.Flusher).Flush()
		pause := time.NewTimer(2500 * time.Millisecond)
		defer pause.Stop()
		<-pause.C
		io.WriteString(rw, "the end")
	})))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	var all sync.WaitGroup
	for url, c := range map[string]*http.Client{"http://www.example/": browser(t, table.HTTPPort), "https://www.example/": secureBrowser(t, table.HTTPSPort, roots)} {
		all.Go(func() {
			answer, err := c.Get(url)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			if b, err := io.ReadAll(answer.Body); err != nil || !strings.HasSuffix(string(b), "the end") {
				t.Errorf("%s by %s: %d bytes, %v", url, answer.Proto, len(b), err)
			}
		})
	}
	all.Wait()
}
