package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/relay"
)

// owner notes what it hears.
type owner struct {
	relay.Pair
	fate chan string
}

func (o *owner) Over()  { o.fate <- "over" }
func (o *owner) Grows() { o.fate <- "grows" }

// hears waits for what becomes of the pair.
func (o *owner) hears(t *testing.T) string {
	t.Helper()
	select {
	case is := <-o.fate:
		return is
	case <-time.After(20 * time.Second):
		t.Fatal("the owner hears nothing")
		return ""
	}
}

// running is a relay that ends with the test, or with end.
func running(t *testing.T) (r *relay.Relay, end func()) {
	t.Helper()
	r, err := relay.New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	end = func() { cancel(); <-done }
	t.Cleanup(end)
	return r, end
}

// link is a connection: one end of a test's, the other bare.
func link(t *testing.T) (*net.TCPConn, relay.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var bare relay.Conn
	var failed error
	raw.Read(func(fd uintptr) bool {
		from := c.LocalAddr().(*net.TCPAddr).AddrPort()
		b, client, err := relay.Accept(fd)
		if bare, failed = b, err; err == nil && client != from {
			failed = fmt.Errorf("accepted from %v; want %v", client, from)
		}
		return err != unix.EAGAIN
	})
	if failed != nil {
		t.Fatal(failed)
	}
	return c.(*net.TCPConn), bare
}

// crossing has r pass the bytes of two connections.
func crossing(t *testing.T, r *relay.Relay) (client, inside *net.TCPConn, o *owner) {
	t.Helper()
	client, a := link(t)
	inside, b := link(t)
	o = &owner{fate: make(chan string, 2)}
	o.Pair = relay.Pair{Owner: o, Ends: [2]relay.End{{Conn: a}, {Conn: b}}}
	r.Take(&o.Pair, make([]byte, 4096))
	return client, inside, o
}

func says(t *testing.T, c net.Conn, words string) {
	t.Helper()
	if _, err := io.WriteString(c, words); err != nil {
		t.Error(err)
	}
}

func hears(t *testing.T, c net.Conn, words string) {
	t.Helper()
	b := make([]byte, len(words))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != words {
		t.Errorf("heard %q, %v; want %q", b, err, words)
	}
}

func TestBytesGoBothWaysUntilBothAreDone(t *testing.T) {
	r, _ := running(t)
	client, inside, o := crossing(t, r)
	for i := range 100 {
		question, answer := fmt.Sprintf("question %d", i), fmt.Sprintf("the answer to %d", i)
		says(t, client, question)
		hears(t, inside, question)
		says(t, inside, answer)
		hears(t, client, answer)
	}
	client.CloseWrite()
	if rest, err := io.ReadAll(inside); len(rest) > 0 || err != nil {
		t.Errorf("after the client was done: %q, %v", rest, err)
	}
	says(t, inside, "one word more")
	inside.Close()
	if rest, err := io.ReadAll(client); string(rest) != "one word more" || err != nil {
		t.Errorf("the client's last: %q, %v", rest, err)
	}
	if is := o.hears(t); is != "over" || o.Ends[0].Said != 1090 || o.Ends[1].Said != 1603 {
		t.Errorf("%s; said were %d and %d", is, o.Ends[0].Said, o.Ends[1].Said)
	}
}

func TestOneThatBreaksOffIsBrokenToTheOther(t *testing.T) {
	r, _ := running(t)
	for _, first := range []bool{true, false} {
		a, b, o := crossing(t, r)
		if !first {
			a, b = b, a
		}
		says(t, a, "half a mes")
		hears(t, b, "half a mes")
		a.SetLinger(0)
		a.Close()
		if rest, err := io.ReadAll(b); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the other hears %q, %v; want a reset", rest, err)
		}
		if is := o.hears(t); is != "over" {
			t.Error(is)
		}
	}
}

// Whoever says much, or does not listen: the owner gets all of it, once.
func TestWhatIsMuchIsItsOwnersAgain(t *testing.T) {
	r, _ := running(t)
	for name, listens := range map[string]bool{"both listen": true, "one does not listen": false} {
		t.Run(name, func(t *testing.T) {
			client, inside, o := crossing(t, r)
			all := bytes.Repeat([]byte("much of it "), 1<<20)
			go func() {
				client.Write(all)
				client.CloseWrite()
			}()
			heard := make(chan []byte)
			hear := func() {
				b, _ := io.ReadAll(inside)
				heard <- b
			}
			if listens {
				go hear()
			}
			if is := o.hears(t); is != "grows" {
				t.Fatal(is)
			}
			if !listens {
				go hear()
			}
			from, err := o.Ends[0].Whole(net.KeepAliveConfig{})
			if err != nil {
				t.Fatal(err)
			}
			to, err := o.Ends[1].Whole(net.KeepAliveConfig{})
			if err != nil {
				t.Fatal(err)
			}
			to.Write(o.Ends[0].Rest)
			n, err := io.Copy(to, from)
			from.Close()
			to.Close()
			if b := <-heard; err != nil || !bytes.Equal(b, all) || o.Ends[0].Said+n != int64(len(all)) {
				t.Errorf("heard %d bytes, counted %d and %d, %v; said were %d", len(b), o.Ends[0].Said, n, err, len(all))
			}
		})
	}
}

// taken waits until the relay has read what came to c, or gave it back.
func taken(t *testing.T, o *owner, c relay.Conn) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); len(o.fate) == 0; runtime.Gosched() {
		if n, err := unix.IoctlGetInt(int(c), unix.TIOCINQ); n == 0 || err != nil || time.Now().After(until) {
			return
		}
	}
}

// Small buffers: the other side stops taking in the middle of what was read.
func TestWhatTheOtherSideDoesNotTakeIsNotLost(t *testing.T) {
	r, _ := running(t)
	client, a := link(t)
	inside, b := link(t)
	inside.SetReadBuffer(4 << 10)
	if err := unix.SetsockoptInt(int(b), unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10); err != nil {
		t.Fatal(err)
	}
	o := &owner{fate: make(chan string, 2)}
	o.Pair = relay.Pair{Owner: o, Ends: [2]relay.End{{Conn: a}, {Conn: b}}}
	r.Take(&o.Pair, make([]byte, 4096))
	var all []byte
	for len(o.fate) == 0 && len(all) < 250<<10 { // less than is much
		piece := bytes.Repeat([]byte("little by little "), 500) // less than is read at once
		all = append(all, piece...)
		client.Write(piece)
		taken(t, o, a)
	}
	client.CloseWrite()
	if is := o.hears(t); is != "grows" || len(o.Ends[0].Rest) == 0 {
		t.Fatalf("%s, and %d bytes of %d are left", is, len(o.Ends[0].Rest), o.Ends[0].Said)
	}
	heard := make([]byte, int(o.Ends[0].Said)-len(o.Ends[0].Rest))
	if _, err := io.ReadFull(inside, heard); err != nil {
		t.Fatal(err)
	}
	from, err := o.Ends[0].Whole(net.KeepAliveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	o.Ends[1].Close()
	rest, err := io.ReadAll(from)
	from.Close()
	heard = append(append(heard, o.Ends[0].Rest...), rest...)
	if err != nil || !bytes.Equal(heard, all) {
		t.Errorf("%d bytes arrived or were left, %v; said were %d", len(heard), err, len(all))
	}
}

func TestEndBreaksAll(t *testing.T) {
	before := socketsOpen(t)
	r, end := running(t)
	var clients []net.Conn
	var owners []*owner
	for i := range 20 {
		if i == 10 {
			end()
		}
		client, _, o := crossing(t, r)
		clients, owners = append(clients, client), append(owners, o)
	}
	for i, c := range clients {
		if rest, err := io.ReadAll(c); err == nil {
			t.Errorf("number %d heard %q and a good end; want a reset", i, rest)
		}
		if is := owners[i].hears(t); is != "over" {
			t.Error(is)
		}
	}
	if n := socketsOpen(t); n > before+2*len(clients) { // the test's own ends
		t.Errorf("%d descriptors are open, before there were %d", n, before)
	}
}

func socketsOpen(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
