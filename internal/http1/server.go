// Package http1 answers the plain, frequent requests of HTTP/1.1 with little
// work: one goroutine, one read and one write for each. It judges nothing:
// whatever is not plain goes to net/http's server, with all that was read, for
// the rest of its connection.
package http1

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers requests by a handler, as an http.Server does. The fields are
// set before the first Serve. It may be used by many at once.
type Server struct {
	Handler  http.Handler
	HandOver func(c net.Conn, read []byte) // takes a connection, and what was read of it; read is its own
	First    time.Duration                 // until the first request of a connection
	Idle     time.Duration                 // until the next one
	Panicked func(what any)                // hears what ended a handler, but for http.ErrAbortHandler

	lent  sync.Pool
	turns sync.Pool
	now   atomic.Pointer[date]
}

// date is a second as HTTP writes it.
type date struct {
	second int64
	text   string
}

const (
	// requestSize is how large a plain request is at most, body and all. Each
	// connection has so much memory.
	requestSize = 4 << 10
	// watchAfter is how long a handler may take before it is looked whether its
	// client is still there.
	watchAfter = 200 * time.Millisecond
)

// conn is a connection being served.
type conn struct {
	net.Conn
	server *Server
	ctx    context.Context
	leave  context.CancelFunc // the client is gone
	in     []byte             // what was read and not used yet
	until  time.Time          // the deadline for reading
	remote string
	tls    *tls.ConnectionState
	blank  *http.Request // what all requests of this connection have
	late   *time.Timer

	mu       sync.Mutex // guards what follows
	busy     bool
	since    time.Time     // when the handler began
	armed    bool          // late will look
	watching chan struct{} // closed when nobody reads ahead any more
}

// Serve answers the requests that come by c, whose context is ctx: when that is
// done, c is closed. It returns when c is closed or was handed over.
func (s *Server) Serve(ctx context.Context, c net.Conn) {
	k := &conn{Conn: c, server: s, in: make([]byte, 0, requestSize), remote: c.RemoteAddr().String()}
	if t, ok := c.(*tls.Conn); ok {
		state := t.ConnectionState()
		k.tls = &state
	}
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr())
	k.ctx, k.leave = context.WithCancel(ctx)
	defer k.leave()
	k.blank = (&http.Request{RemoteAddr: k.remote, TLS: k.tls}).WithContext(k.ctx)
	defer func() {
		if k.late != nil {
			k.late.Stop()
		}
	}()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if k.serve() {
		c.Close()
		return
	}
	if c.SetReadDeadline(time.Time{}) != nil || !stop() {
		c.Close()
		return
	}
	s.HandOver(c, k.in)
}

// serve is true when the connection has ended, false when it is to be handed over.
func (c *conn) serve() (ended bool) {
	c.wait(c.server.First)
	for {
		if len(c.in) == 0 {
			n, err := c.Conn.Read(c.in[:cap(c.in)])
			if c.in = c.in[:n]; n == 0 && err != nil {
				return true
			}
		}
		if skipped := bytes.TrimLeft(c.in, "\r\n"); len(skipped) < len(c.in) { // RFC 9112, 2.2
			if c.in = c.in[:copy(c.in, skipped)]; len(c.in) == 0 {
				continue
			}
		}
		t := c.server.turn(c.blank)
		size := t.plain(c.in)
		if size == 0 {
			return false
		}
		if !c.answer(t) {
			return true
		}
		if t.answer.spent {
			c.server.forget(t)
		}
		c.in = c.in[:copy(c.in, c.in[size:])]
		c.wait(c.server.Idle)
	}
}

// wait moves the deadline for reading, not more often than once a second.
func (c *conn) wait(most time.Duration) {
	until := time.Now().Add(most)
	if d := until.Sub(c.until); d > time.Second || d < 0 {
		c.Conn.SetReadDeadline(until) // a connection that has ended says so when it is read
		c.until = until
	}
}

// answer lets the handler answer, and tells whether another request may come.
func (c *conn) answer(t *turn) (again bool) {
	a, r := &t.answer, &t.request
	a.conn, a.head, a.length = c, r.Method == http.MethodHead, -1
	c.attend()
	defer func() {
		again = c.attended() && again
		if !a.spent {
			c.server.take(a.out)
		}
		if what := recover(); what != nil {
			again = false
			if what != http.ErrAbortHandler && c.server.Panicked != nil {
				c.server.Panicked(what)
			}
		}
	}()
	c.server.Handler.ServeHTTP(a, r)
	return a.end() == nil && !a.last
}

// attend looks after the client, when the answer takes its time. The timer is
// left alone while answers are quick: it finds out itself how long one takes.
func (c *conn) attend() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.since = true, now
	switch {
	case c.armed:
		return
	case c.late == nil:
		c.late = time.AfterFunc(watchAfter, c.watch)
	default:
		c.late.Reset(watchAfter)
	}
	c.armed = true
}

// attended ends that. It is false when the client has left.
func (c *conn) attended() bool {
	c.mu.Lock()
	c.busy = false
	watching := c.watching
	c.watching = nil
	c.mu.Unlock()
	if watching != nil {
		c.Conn.SetReadDeadline(time.Unix(1, 0))
		<-watching
		c.until = time.Time{} // there is another deadline now
	}
	return c.ctx.Err() == nil
}

// watch reads ahead while the answer is made: the beginning of the next
// request, or the end of the connection, which ends this one.
func (c *conn) watch() {
	c.mu.Lock()
	if took := time.Since(c.since); c.busy && took < watchAfter {
		c.late.Reset(watchAfter - took)
		c.mu.Unlock()
		return
	}
	c.armed = false
	if !c.busy || c.watching != nil || len(c.in) == cap(c.in) {
		c.mu.Unlock()
		return
	}
	done := make(chan struct{})
	c.watching = done
	c.Conn.SetReadDeadline(time.Time{}) // under the lock: it must not come after that of attended
	c.mu.Unlock()
	defer close(done)
	n, err := c.Conn.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.leave()
	}
}

// date is now, for a header.
func (c *conn) date() string {
	now := time.Now()
	known := c.server.now.Load()
	if known == nil || known.second != now.Unix() {
		known = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		c.server.now.Store(known)
	}
	return known.text
}

func (s *Server) lend() []byte {
	if p, ok := s.lent.Get().(*[answerSize]byte); ok {
		return p[:0]
	}
	return make([]byte, 0, answerSize)
}

// take takes back what was lent. What grew is left to the collector.
func (s *Server) take(p []byte) {
	if cap(p) == answerSize {
		s.lent.Put((*[answerSize]byte)(p[:answerSize]))
	}
}
