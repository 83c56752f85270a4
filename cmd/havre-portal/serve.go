package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
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
	lookup   lookupFunc
	dial     func(ctx context.Context, r request) (*os.File, error)
	patience time.Duration // for a request to arrive, and for a connection to be made
	fresh    time.Duration // how old the name service's word may be when the connection stands
	places   chan struct{}
	gate     gate
}

func newPortal(nameServer string) *portal {
	return &portal{
		lookup:   names(nameServer),
		dial:     connect,
		patience: 5 * time.Second,
		fresh:    10 * time.Millisecond, // no engine starts a container in that time
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
	enough := time.After(8 * time.Second) // the engine kills after 10
	for range cap(p.places) {
		select {
		case p.places <- struct{}{}:
		case <-enough:
			return nil
		}
	}
	return nil
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
		p.handle(conn)
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

func (p *portal) handle(conn *net.UnixConn) {
	defer func() {
		// The sockets handed over live in this container's network namespace
		// and would all die with the process.
		if r := recover(); r != nil {
			fmt.Fprintln(os.Stderr, "havre-portal: panic:", r)
			conn.Close()
		}
	}()
	tell(conn, p.answer(conn))
}

// tell sends the refusal, if there is one, and closes.
func tell(conn *net.UnixConn, r *refusal) {
	defer conn.Close()
	if r == nil {
		return
	}
	line, _ := json.Marshal(r)
	conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	conn.Write(append(line, '\n')) // who doesn't listen doesn't want to know
}

// answer serves the one request of conn, or says why not.
func (p *portal) answer(conn *net.UnixConn) *refusal {
	conn.SetReadDeadline(time.Now().Add(p.patience))
	line, err := readLine(conn)
	if err != nil {
		return refuse("bad-request", "%v", err)
	}
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
	asked := time.Now()
	if no := p.vouch(ctx, req); no != nil {
		return no
	}
	out, err := p.dial(ctx, req)
	if err != nil {
		return refuse(kindOf(err), "%v", err)
	}
	defer out.Close()
	// A connection that took its time, as when the kernel knocks again after a
	// second, may be with a container that got the address meanwhile.
	if time.Since(asked) > p.fresh {
		if no := p.vouch(ctx, req); no != nil {
			return no
		}
	}
	if err := handOver(conn, out); err != nil {
		fmt.Fprintln(os.Stderr, "havre-portal: hand over:", err)
	}
	return nil
}

// vouch refuses unless the container has the address, that one only.
func (p *portal) vouch(ctx context.Context, req request) *refusal {
	found, err := p.lookup(ctx, req.name())
	var dns *net.DNSError
	switch {
	case ctx.Err() != nil, errors.As(err, &dns) && dns.IsTimeout:
		return refuse("timeout", "the engine's name service gave no answer for %s", req.name())
	case err != nil:
		return refuse("unknown", "no container %s on these networks", req.name())
	case len(found) != 1:
		return refuse("mismatch", "%s has %d addresses", req.name(), len(found))
	case found[0].Unmap() != req.Address:
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

// handOver sends the descriptor of out along with the good news. The caller
// still closes out: from here on the receiver's descriptor keeps it open.
func handOver(conn *net.UnixConn, out *os.File) error {
	raw, err := out.SyscallConn()
	if err != nil {
		return err
	}
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = conn.WriteMsgUnix([]byte("{\"ok\":true}\n"), syscall.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, sent)
}
