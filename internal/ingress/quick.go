package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
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
	case "", "http/1.1":
		f.quick.Serve(withParty(f.ctx, c), c)
	default:
		f.secure.take(c)
	}
}

// handOver gives a connection to net/http, from what was read of it on.
func (f *front) handOver(c net.Conn, read []byte) {
	switch c := c.(type) {
	case *visitor:
		c.head = append(read, c.head...)
		f.plain.take(c)
	case *tls.Conn:
		f.secure.take(&secured{c, read})
	}
}

// secured is a TLS connection of which something was read.
type secured struct {
	*tls.Conn
	head []byte
}

// Read gives what was read already, then what comes.
func (s *secured) Read(b []byte) (int, error) {
	if len(s.head) > 0 {
		n := copy(b, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	return s.Conn.Read(b)
}
