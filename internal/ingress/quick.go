package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"havre/internal/http1"
)

// newQuick makes the server that has each connection first. What is not plain
// HTTP/1.1 goes from there to the servers of net/http, with the same handler.
func (f *front) newQuick(h http.Handler) *http1.Server {
	return &http1.Server{
		Handler:  f.parting(h),
		HandOver: f.handOver,
		First:    f.set.HeaderTime,
		Idle:     idleTime,
		Panicked: func(what any) { f.set.Log.Error("a request was given up", "panic", what) },
	}
}

// takeHTTP takes who comes to the HTTP port.
func (f *front) takeHTTP(v *visitor) {
	f.serving.Go(func() { f.quick.Serve(withParty(f.ctx, v), v) })
}

// shake greets who speaks TLS, and serves what was agreed on.
func (f *front) shake(v *visitor) {
	c := tls.Server(v, f.tls)
	ctx, done := context.WithTimeout(f.ctx, f.set.HeaderTime)
	defer done()
	if err := c.HandshakeContext(ctx); err != nil {
		var odd tls.RecordHeaderError
		if errors.As(err, &odd) && odd.Conn != nil && http1.Begins(odd.RecordHeader[:]) {
			v.SetWriteDeadline(time.Now().Add(f.set.HeaderTime))
			io.WriteString(odd.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n") // word for word net/http's
		}
		f.set.Log.Debug("no TLS", "client", v.RemoteAddr(), "err", err) // what strangers send wrong is no news
		v.Close()
		return
	}
	switch c.ConnectionState().NegotiatedProtocol {
	case "", "http/1.1", "http/1.0":
		f.quick.Serve(withParty(f.ctx, c), c)
	default:
		f.secure.take(c)
	}
}

// handOver gives a connection to net/http, from what was read of it on.
func (f *front) handOver(c net.Conn, read []byte) {
	switch c := c.(type) {
	case *visitor:
		c.head, c.said = append(read, c.head...), new(record)
		f.plain.take(c)
	case *tls.Conn:
		f.secure.take(&secured{c, read, new(record)})
	}
}

// secured is a TLS connection of which something was read.
type secured struct {
	*tls.Conn
	head []byte
	said *record
}

// Read gives what was read already, then what comes.
func (s *secured) Read(b []byte) (int, error) {
	if len(s.head) > 0 {
		n := copy(b, s.head)
		s.head = s.head[n:]
		s.said.hear(b[:n])
		return n, nil
	}
	n, err := s.Conn.Read(b)
	s.said.hear(b[:n])
	return n, err
}

// record is what net/http read of a connection of HTTP/1 since it began with the
// last request: the head of the next one is in it, with more about it. From that
// is known what net/http does not tell. It may be used by many at once; a nil
// one keeps nothing.
type record struct {
	mu   sync.Mutex // guards what follows
	said []byte
	busy bool // a request is being answered, of which nothing more is worth keeping
	over bool // it is too much
}

// What net/http has read ahead at most, and what a head is at most with that.
const (
	readAhead = 4 << 10
	maxSaid   = maxHeader + 4*readAhead
)

func (r *record) hear(b []byte) {
	if r == nil || len(b) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.busy:
		b = b[max(len(b)-readAhead, 0):]
		r.said = append(r.said[:copy(r.said, r.said[max(len(r.said)+len(b)-readAhead, 0):])], b...)
	case r.over || len(r.said)+len(b) > maxSaid:
		r.over, r.said = true, nil
	default:
		r.said = append(r.said, b...)
	}
}

// begin tells of the request that begins how the names of its header were
// written, and whether its end may be said in two ways. Of a request by HTTP/2 it
// tells nothing.
func (r *record) begin(q *http.Request) (odd []http1.Line, twofold bool) {
	if r == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = true
	if q.ProtoMajor != 1 {
		return nil, false
	}
	odd = http1.Odd(r.said, q.Header)
	if len(q.TransferEncoding) > 0 {
		twofold = r.over
		for head := range bytes.SplitSeq(bytes.ToLower(r.said), []byte("\r\n\r\n")) {
			twofold = twofold || bytes.Contains(head, []byte("\ncontent-length:")) && bytes.Contains(head, []byte("\ntransfer-encoding:"))
		}
	}
	r.said = r.said[max(len(r.said)-readAhead, 0):]
	return odd, twofold
}

// end ends that.
func (r *record) end(q *http.Request) {
	if r != nil && q.ProtoMajor == 1 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy, r.over = false, false
	}
}
