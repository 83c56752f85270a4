// Package portal is the caller's end of the socket hand-over: it asks the
// portal of an environment for a connection to a container, and gets the
// connected socket itself. It also holds the portal program and the image
// that the engine runs it from.
package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"havre/internal/problem"
)

// Target is one port of one container. Both its id and the address that the
// engine reports for it are told: the portal connects only where they agree.
type Target struct {
	Container string // the whole id, 64 lower-case hexadecimal digits
	Address   netip.Addr
	Port      uint16
	UDP       bool // instead of TCP
}

// String gives address:port, with the container's short id.
func (t Target) String() string {
	return fmt.Sprintf("%s (container %.12s)", t.address(), t.Container)
}

func (t Target) address() netip.AddrPort { return netip.AddrPortFrom(t.Address, t.Port) }

// What a Refusal's Kind may be.
const (
	BadRequest = "bad-request" // the portal did not accept the question
	Unknown    = "unknown"     // no such container on the portal's networks
	Mismatch   = "mismatch"    // the container is not at that address, or not only there
	Refused    = "refused"     // nothing listens there
	Timeout    = "timeout"     // no answer within 5 s
	Busy       = "busy"        // the portal has too much to do
)

// Refusal is the portal's own no. A caller that wants to tell a container
// that is gone from one that does not listen finds it with errors.As.
type Refusal struct {
	Kind string
	Says string
}

// Error gives the kind and what the portal said.
func (r *Refusal) Error() string { return r.Kind + ": " + r.Says }

// longest is when an answer is overdue even for a caller without a deadline:
// the portal itself gives up after 5 s of reading and 5 s of connecting.
const longest = 15 * time.Second

// Dial is what a Dialer does, for who asks once.
func Dial(ctx context.Context, socketPath string, target Target) (net.Conn, error) {
	var d Dialer
	c, err := d.Dial(ctx, socketPath, target)
	d.weed(time.Now())
	return c, err
}

// Dialer asks portals, and keeps lines to them for the next question. The zero
// Dialer may be used, by many at once.
type Dialer struct {
	mu      sync.Mutex // guards what follows
	windows map[string]*window
	idle    map[string][]*line
	weeding *time.Timer
}

// Dial connects to target through the portal that listens on socketPath. The
// connection is a *net.TCPConn (io.Copy between two of them stays in the
// kernel) or a connected *net.UDPConn, is the caller's to close, and dies with
// the portal's container. By UDP nothing is sent: it says that the container is
// there, not that it listens. And a UDP socket stays at its address whoever has
// that later: ask again now and then.
//
// Errors: Unavailable when there is no portal, or the container is gone, is
// elsewhere or does not listen (with a *Refusal inside); Busy when the portal
// has too much to do; Invalid for a target that can't be one. When ctx
// ends first, its error is inside.
func (d *Dialer) Dial(ctx context.Context, socketPath string, target Target) (net.Conn, error) {
	s, err := d.Socket(ctx, socketPath, target)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(s), "portal")
	defer f.Close() // net.FileConn makes a copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, explain(ctx, target, err)
	}
	return c, nil
}

// Socket is Dial, but gives the descriptor itself, which the runtime does not
// know. It is the caller's to close.
//
// Errors: as Dial.
func (d *Dialer) Socket(ctx context.Context, socketPath string, target Target) (int, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	heard := make(chan answer, 1)
	d.Ask(ctx, socketPath, target, func(socket int, err error) { heard <- answer{socket, err} })
	is := <-heard
	return is.socket, is.err
}

// Ask is Socket for who does not wait. Hears is called once, may be before Ask
// returns, at the latest when ctx ends. It must not wait: others' answers come
// after it.
//
// Errors that it hears: as Dial.
func (d *Dialer) Ask(ctx context.Context, socketPath string, target Target, hears func(socket int, err error)) {
	told := func(socket int, err error) {
		if err != nil {
			socket, err = -1, explain(ctx, target, err)
		}
		hears(socket, err)
	}
	question, err := target.question()
	if err != nil {
		told(-1, err)
		return
	}
	a := &asker{target: target, question: question, hears: func(socket int, err error) {
		if errors.Is(err, errAlone) {
			go func() { told(d.alone(ctx, socketPath, question, target)) }()
			return
		}
		told(socket, err)
	}}
	a.stop = context.AfterFunc(ctx, func() { a.leave(ctx.Err()) })
	if !d.queue(socketPath, a) {
		a.tell(-1, errAlone)
	}
}

// bounded gives ctx a deadline that is not too far.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if until, ok := ctx.Deadline(); ok && time.Until(until) <= longest {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, longest)
}

// alone asks by a line of its own.
func (d *Dialer) alone(ctx context.Context, socketPath string, question []byte, target Target) (int, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	s, err := -1, errLeft
	if l := d.kept(socketPath); l != nil {
		s, err = d.ask(ctx, l, question, target)
	}
	// One that is being replaced leaves at its name a way to the new one.
	for tries := 0; errors.Is(err, errLeft) && tries < 2; tries++ {
		var l *line
		if l, err = open(ctx, socketPath); err == nil {
			s, err = d.ask(ctx, l, question, target)
		}
	}
	return s, err
}

// errLeft means that the portal went away without having said a word.
var errLeft = errors.New("the portal left without an answer")

// errAnswer means that what came from the portal is none of its answers.
var errAnswer = errors.New("not an answer of a portal")

// ask asks by l, which is kept when all went well, or else closed.
func (d *Dialer) ask(ctx context.Context, l *line, question []byte, target Target) (int, error) {
	stop := context.AfterFunc(ctx, func() { l.SetDeadline(time.Unix(1, 0)) })
	// A portal that is busy answers without reading; its answer is what counts.
	err := l.say(question)
	if err != nil && !gone(err) {
		stop()
		l.Close()
		return -1, err
	}
	s, err := l.receive(target)
	if stop() && err == nil {
		if l.several {
			d.learn(l)
		}
		d.keep(l)
	} else {
		l.Close()
	}
	return s, err
}

// question is what a portal is asked: a line of JSON. What is not hexadecimal
// in an id would have to be escaped, and no portal understands it anyway.
func (t Target) question() ([]byte, error) {
	if strings.Trim(t.Container, "0123456789abcdef") != "" {
		return nil, &Refusal{BadRequest, "the container's id is none"}
	}
	q := make([]byte, 0, 160)
	q = append(q, `{"id":"`...)
	q = append(q, t.Container...)
	q = append(q, `","address":"`...)
	if t.Address.IsValid() {
		q = t.Address.AppendTo(q)
	}
	q = append(q, `","port":`...)
	q = strconv.AppendUint(q, uint64(t.Port), 10)
	if t.UDP {
		q = append(q, `,"network":"udp"`...)
	}
	return append(q, "}\n"...), nil
}

// gone tells whether the other end hung up.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// explain makes the problem that the user of Dial sees.
func explain(ctx context.Context, target Target, err error) error {
	kind, remedy := problem.Unavailable, ""
	var no *Refusal
	switch {
	case errors.As(err, &no) && no.Kind == Busy:
		kind, remedy = problem.Busy, "try again in a moment"
	case errors.As(err, &no) && no.Kind == BadRequest:
		kind = problem.Invalid
	case errors.As(err, &no):
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		remedy = "see whether the environment's portal runs: havre status"
	}
	return problem.New(kind, "connect to %s", target).With("%s", remedy).Because(err)
}
