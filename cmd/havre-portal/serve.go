package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// atOnce is how many requests are served at a time. The next callers wait in
// the socket's queue, where they cost nothing.
const atOnce = 128

type lookupFunc func(ctx context.Context, name string) ([]netip.Addr, error)

// portal answers requests. What it reaches out with are fields, so that
// tests can stand in for the engine; the program itself offers no such choice.
type portal struct {
	callers  []uint32 // users that are served, besides root
	words    *words
	dial     func(ctx context.Context, r request) (int, error)
	knock    func(r request) (s int, open bool, err error) // dial, as far as it goes without waiting
	patience time.Duration                                 // for a request to arrive, and for a connection to be made
	fresh    time.Duration                                 // how old the name service's word may be when the connection stands
	idle     time.Duration                                 // how long a caller who got a connection may take to ask for the next
	places   chan struct{}
	gate     gate
}

// fresh is a time in which no engine starts a container.
const fresh = 10 * time.Millisecond

func newPortal(nameServer string) *portal {
	return &portal{
		words:    &words{ask: names(nameServer), keep: fresh},
		dial:     connect,
		knock:    knock,
		patience: 5 * time.Second,
		fresh:    fresh,
		idle:     time.Second,
		places:   make(chan struct{}, atOnce),
	}
}

// refusal is the answer to a request that gets no connection.
type refusal struct {
	OK   bool   `json:"ok"`
	Kind string `json:"kind"`
	Says string `json:"says"`
}

func refuse(kind, format string, args ...any) *refusal {
	return &refusal{Kind: kind, Says: fmt.Sprintf(format, args...)}
}

// serve answers until ctx ends, then lets those who are being served finish.
func (p *portal) serve(ctx context.Context, l *net.UnixListener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case p.places <- struct{}{}:
			p.accept(ctx, l)
		}
	}
	p.finish()
	return nil
}

// finish waits until nobody is served, but not for long: the engine kills after
// 10 s.
func (p *portal) finish() {
	enough := time.After(8 * time.Second)
	for range cap(p.places) {
		select {
		case p.places <- struct{}{}:
		case <-enough:
			return
		}
	}
}

// accept serves the next caller in the place that was taken for it.
func (p *portal) accept(ctx context.Context, l *net.UnixListener) {
	conn, err := l.AcceptUnix()
	if err != nil {
		<-p.places
		p.pause(ctx, err)
		return
	}
	go func() {
		defer func() { <-p.places }()
		p.handle(ctx, conn)
	}()
}

// pause waits a moment where accepting failed for want of something, as
// descriptors: ending would cut every socket that was ever handed over.
func (p *portal) pause(ctx context.Context, why error) {
	if ctx.Err() != nil {
		return
	}
	fmt.Fprintln(os.Stderr, "havre-portal: accept:", why)
	select {
	case <-ctx.Done():
	case <-time.After(50 * time.Millisecond):
	}
}

func (p *portal) handle(ctx context.Context, caller *net.UnixConn) {
	defer caller.Close()
	conn, err := newLine(caller)
	if err != nil {
		return
	}
	if user, err := conn.peer(); err != nil || user != 0 && !slices.Contains(p.callers, user) {
		tell(conn, refuse("denied", "user %d is not served here", user))
		return
	}
	defer func() {
		// The sockets handed over live in this container's network namespace
		// and would all die with the process.
		if r := recover(); r != nil {
			fmt.Fprintln(os.Stderr, "havre-portal: panic:", r)
		}
	}()
	for patience, answered := p.patience, false; ; patience, answered = p.idle, true {
		conn.SetReadDeadline(time.Now().Add(patience))
		line, err := readLine(conn)
		if err != nil && answered {
			return // it asks for no more
		}
		no := refuse("bad-request", "%v", err)
		if all, ok := several(line); err == nil && ok {
			if no = nil; p.answerSeveral(conn, all) != nil {
				return
			}
		} else if err == nil {
			no = p.answer(conn, line)
		}
		if no != nil {
			tell(conn, no)
			return
		}
		if ctx.Err() != nil {
			return // a newer portal may be there for the next question
		}
	}
}

// tell sends the refusal.
func tell(conn *line, r *refusal) {
	line, _ := json.Marshal(r)
	conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	conn.send(append(line, '\n')) // who doesn't listen doesn't want to know
}

// answer serves one request of conn, or says why not.
func (p *portal) answer(conn *line, line []byte) *refusal {
	req, err := parse(line)
	if err != nil {
		return refuse("bad-request", "%v", err)
	}
	if !p.gate.enter(req.ID) {
		return refuse("busy", "%d connections to %s are being made already", atOnceEach, req.name())
	}
	defer p.gate.leave(req.ID)
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	out, no := p.reach(ctx, req)
	if no != nil {
		return no
	}
	defer rawClose(out)
	if err := handOver(conn, out); err != nil {
		return refuse("timeout", "hand over: %v", err)
	}
	return nil
}

// reach connects to who the name service says is there, and to nobody else.
func (p *portal) reach(ctx context.Context, req request) (int, *refusal) {
	began := time.Now()
	w := p.words.about(ctx, req.name(), began.Add(-p.fresh/2))
	no := w.vouch(ctx, req)
	if no != nil && w.asked.Before(began) { // it may have come since
		w = p.words.about(ctx, req.name(), began)
		no = w.vouch(ctx, req)
	}
	if no != nil {
		return -1, no
	}
	out, err := p.dial(ctx, req)
	if err != nil {
		return -1, refuse(kindOf(err), "%v", err)
	}
	return p.stands(ctx, req, out, w)
}

// stands gives a connection that was made on a word. One that took its time, as
// when the kernel knocks again after a second, may be with a container that got
// the address meanwhile.
func (p *portal) stands(ctx context.Context, req request, out int, w *word) (int, *refusal) {
	if stood := time.Now(); stood.Sub(w.asked) > p.fresh {
		if no := p.words.about(ctx, req.name(), stood.Add(-p.fresh)).vouch(ctx, req); no != nil {
			rawClose(out)
			return -1, no
		}
	}
	return out, nil
}

// vouch refuses unless the container has the address, that one only.
func (w *word) vouch(ctx context.Context, req request) *refusal {
	var dns *net.DNSError
	switch {
	case w.err != nil && ctx.Err() != nil, errors.As(w.err, &dns) && dns.IsTimeout:
		return refuse("timeout", "the engine's name service gave no answer for %s", req.name())
	case w.err != nil:
		return refuse("unknown", "no container %s on these networks", req.name())
	case len(w.found) != 1:
		return refuse("mismatch", "%s has %d addresses", req.name(), len(w.found))
	case w.found[0].Unmap() != req.Address:
		return refuse("mismatch", "%s is not at %s", req.name(), req.Address)
	}
	return nil
}

// kindOf says what a failed connect means for the one who asked.
func kindOf(err error) string {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return "timeout"
	}
	for _, want := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, want) {
			return "busy"
		}
	}
	return "refused"
}

// handOver sends the descriptor out along with the good news. The caller
// still closes out: from here on the receiver's descriptor keeps it open.
func handOver(conn *line, out int) error {
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	return conn.send(fmt.Appendf(nil, "{\"ok\":true,\"all\":%d}\n", most), out)
}
