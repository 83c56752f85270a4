package main

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// questions is how many names are asked for at a time: Go's resolver needs
// much memory for each.
const questions = 32

// overdue is when an answer won't be the engine's own, which come at once:
// it asks the host's name servers, or has too much to do.
const overdue = 2 * time.Second

// names asks the name service at server, and no file, which IPv4 addresses
// name has. Two habits of the standard resolver are kept out: it reads
// /etc/hosts unless nsswitch.conf says otherwise, so the image has one that
// does; and it gives callers the answer to an earlier caller's question when
// it is shared, so each question gets a resolver of its own.
func names(server string) lookupFunc {
	asking := make(chan struct{}, questions)
	service := newService(server)
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
		select {
		case asking <- struct{}{}:
			defer func() { <-asking }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		ctx, cancel := context.WithTimeout(ctx, overdue)
		defer cancel()
		r := net.Resolver{PreferGo: true, Dial: service.dialer()}
		return r.LookupNetIP(ctx, "ip4", name+".") // with the dot no search domain is tried
	}
}

// keptFor is how long a socket to the name service is kept after its last
// question. While it is there a portal that was replaced does not end.
const keptFor = time.Second

// service is the name service. The socket of a question that was answered is
// kept for the next one.
type service struct {
	at   string
	kept chan *inquiry
	weed *time.Timer // runs from the last time that one was kept
}

func newService(at string) *service {
	s := &service{at: at, kept: make(chan *inquiry, 1)}
	s.weed = time.AfterFunc(keptFor, func() {
		select {
		case q := <-s.kept:
			q.UDPConn.Close()
		default:
		}
	})
	return s
}

// dialer is for one look-up. When it tries again, it does so by a new socket:
// the kept one may lead to where an engine listened before it started anew.
func (s *service) dialer() func(ctx context.Context, network, _ string) (net.Conn, error) {
	again := false
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		if network == "udp" && !again {
			again = true
			select {
			case q := <-s.kept:
				return q, nil
			default:
			}
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, s.at)
		plain, ok := c.(*net.UDPConn)
		if err != nil || !ok {
			return c, err
		}
		raw, err := plain.SyscallConn()
		if err != nil {
			plain.Close()
			return nil, err
		}
		return &inquiry{UDPConn: plain, raw: raw, service: s}, nil
	}
}

// inquiry asks one question at a time.
type inquiry struct {
	*net.UDPConn
	raw      syscall.RawConn
	service  *service
	answered bool
}

// Write sends a question.
func (q *inquiry) Write(text []byte) (int, error) { return rawWrite(q.raw, text) }

// Read waits for an answer until the deadline.
func (q *inquiry) Read(to []byte) (int, error) {
	n, err := rawRead(q.raw, to)
	q.answered = err == nil // what is no answer to the question is followed by another Read
	return n, err
}

// Close keeps q for the next question, unless an answer to this one may come
// yet: that would not be as old as the next question, but older.
func (q *inquiry) Close() error {
	if q.answered {
		q.answered = false
		select {
		case q.service.kept <- q:
			q.service.weed.Reset(keptFor)
			return nil
		default: // there is another one
		}
	}
	return q.UDPConn.Close()
}
