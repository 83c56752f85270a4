package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// maxHello bounds the first words of a TLS client, which are 300 to 2000 bytes.
const maxHello = 32 << 10

// errHeard ends a handshake that was begun to hear the client's first words.
var errHeard = errors.New("the client's first words were heard")

// takeTLS takes who comes to the HTTPS port. Where no name is passed through,
// nobody is looked at twice.
func (f *front) takeTLS(v *visitor) {
	if len(f.now.Load().pass) == 0 {
		f.serving.Go(func() { f.shake(v) })
		return
	}
	f.serving.Go(func() { f.sort(v) })
}

// sort looks for which name v comes, and passes it through or has it answered
// here. Names that nobody has get their refusal here, too, as what is no TLS.
func (f *front) sort(v *visitor) {
	stop := context.AfterFunc(f.ctx, func() { v.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	v.SetReadDeadline(time.Now().Add(headerTime))
	name, said, err := hear(v.TCPConn)
	if err != nil {
		v.Close()
		return
	}
	v.SetReadDeadline(time.Time{})
	name = hostName(name)
	passed := func() *way { return lookup(f.now.Load().pass, name) }
	if passed() == nil {
		v.head = said
		f.shake(v)
		return
	}
	f.through(v, passed, said) // the client's words, as they are
}

// hear reads until it knows the server name that a TLS client asks for (RFC
// 6066, 3), "" for none and for what is no TLS, and gives all that it read.
// crypto/tls understands the words; it may answer nothing.
func hear(c net.Conn) (name string, said []byte, err error) {
	h := &hearing{Conn: c}
	known := false
	s := tls.Server(h, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name, known = hello.ServerName, true
		return nil, errHeard
	}})
	failed := s.HandshakeContext(context.Background())
	switch {
	case known:
		return name, h.said.Bytes(), nil
	case h.failed != nil: // it left, or was too slow, or said too much
		return "", nil, h.failed
	case h.said.Len() > 0:
		return "", h.said.Bytes(), nil
	}
	return "", nil, failed
}

// hearing keeps what is read and says nothing.
type hearing struct {
	net.Conn
	said   bytes.Buffer
	failed error
}

// Read reads at most what is left of maxHello.
func (h *hearing) Read(b []byte) (int, error) {
	left := maxHello - h.said.Len()
	if left <= 0 {
		h.failed = errors.New("too many first words")
		return 0, h.failed
	}
	n, err := h.Conn.Read(b[:min(len(b), left)])
	h.said.Write(b[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		h.failed = err
	}
	return n, err
}

// Write throws away: an alert would be in the way of who answers.
func (h *hearing) Write(b []byte) (int, error) { return len(b), nil }

// SetDeadline leaves the deadline of sort in force, as the next two.
func (h *hearing) SetDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (h *hearing) SetWriteDeadline(time.Time) error { return nil }

// Close leaves the connection open for who answers.
func (h *hearing) Close() error { return nil }
