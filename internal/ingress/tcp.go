package ingress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"havre/internal/problem"
	"havre/internal/relay"
	"havre/internal/route"
	"havre/internal/spec"
)

// patience is how long one container may take to accept a connection; its
// portal gives up after 5 s of its own.
const patience = 6 * time.Second

// dial connects to a container.
func (f *front) dial(ctx context.Context, t route.Target) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := f.set.Dial(ctx, spec.TCP, t)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, problem.New(problem.Internal, "the portal of %s handed over no TCP connection", t.Environment)
	}
	if err := tcp.SetKeepAliveConfig(keepAlive); err != nil {
		tcp.Close()
		return nil, problem.New(problem.Unavailable, "connect to container %.12s", t.Container).Because(err)
	}
	return tcp, nil
}

// serveTCP leads a TCP port's connection in.
func (f *front) serveTCP(v *visitor) { f.through(v, f.wayOf(v.door.port), nil) }

// wayOf gives the way of a TCP port that there is now.
func (f *front) wayOf(port uint16) func() *way {
	return func() *way { return f.now.Load().tcp[port] }
}

// leadBare leads v in without a goroutine: whoever brings the portal's answer
// gives it to the relay. Only the first container in turn is asked for so.
// Where it does not take the connection v goes on as those do who wait.
func (f *front) leadBare(v *visitor) {
	told, w := arrives(v), f.wayOf(v.door.port)()
	if w == nil { // the route went while this one came in
		v.cut()
		return
	}
	told.Service = w.service
	if w.admit(told.Client) != admitted {
		f.turnAway(v, told)
		return
	}
	wait := func() { f.serving.Go(func() { f.waitBare(v, told) }) }
	all := w.inTurn(told.Client)
	if len(all) == 0 {
		wait()
		return
	}
	g := &guest{leave: f.register(all[0].target.Container)}
	if g.leave == nil {
		wait()
		return
	}
	f.serving.Add(1)
	f.set.Ask(f.ctx, all[0].target, func(fd int, err error) {
		defer f.serving.Done()
		inside, err := all[0].meets(g, v, heard{fd, err})
		if err != nil {
			wait()
			return
		}
		f.cross(v, inside, told)
	})
}

// waitBare leads v in as those are led in who wait. It was admitted.
func (f *front) waitBare(v *visitor, told Connection) {
	if inside, told := f.lead(v, f.wayOf(v.door.port), told); inside != nil {
		f.cross(v, inside, told)
	}
}

// heard is the answer of a portal.
type heard struct {
	fd  int
	err error
}

// conn is the connection that was asked for.
func (h heard) conn(t route.Target) (relay.Conn, error) {
	if h.err != nil {
		return -1, h.err
	}
	c := relay.Conn(h.fd)
	if err := c.Prepare(keepAlive); err != nil {
		c.Close()
		return -1, problem.New(problem.Unavailable, "connect to container %.12s", t.Container).Because(err)
	}
	return c, nil
}

// dialBare connects to a container.
func (f *front) dialBare(ctx context.Context, t route.Target) (relay.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer := make(chan heard, 1)
	f.set.Ask(ctx, t, func(fd int, err error) { answer <- heard{fd, err} })
	return (<-answer).conn(t)
}

// meets makes of g, who asked for b, a guest of it.
func (b *backend) meets(g *guest, v *visitor, answer heard) (_ *guest, err error) {
	g.bare, err = answer.conn(b.target)
	b.fared(err == nil)
	if err != nil {
		g.leave()
		return nil, err
	}
	return b.welcome(g, v)
}

// crossing is a visitor with the container it is led to, while a relay passes
// their bytes.
type crossing struct {
	relay.Pair
	front  *front
	v      *visitor
	inside *guest
	told   Connection
}

// cross has a relay pass the bytes of both, and counts them.
func (f *front) cross(v *visitor, inside *guest, told Connection) {
	t := f.tallies.of(told.Service)
	t.open.Add(1)
	t.connections.Add(1)
	c := &crossing{front: f, v: v, inside: inside, told: told}
	c.Pair = relay.Pair{Owner: c, Ends: [2]relay.End{{Conn: v.bare}, {Conn: inside.bare}}}
	lent := shorts.Get().(*short)
	defer shorts.Put(lent)
	f.relays[int(f.turn.Add(1))%len(f.relays)].Take(&c.Pair, lent[:])
}

// Over counts what was said.
func (c *crossing) Over() {
	f, t := c.front, c.front.tallies.of(c.told.Service)
	c.told.In, c.told.Out = c.Ends[0].Said, c.Ends[1].Said
	c.told.Took = time.Since(c.told.Began)
	t.open.Add(-1)
	t.in.Add(c.told.In)
	t.out.Add(c.told.Out)
	f.set.Recorder.Connection(c.told)
	c.inside.leave()
	c.v.left()
}

// Grows has the rest spliced.
func (c *crossing) Grows() { c.front.serving.Go(c.splice) }

func (c *crossing) splice() {
	defer c.Over()
	client, err := c.Ends[0].Whole(keepAlive)
	inside, err2 := c.Ends[1].Whole(keepAlive)
	switch {
	case err == nil && err2 == nil:
		in, out := join(c.front.ctx, client, inside, &c.Ends)
		c.Ends[0].Said += in
		c.Ends[1].Said += out
	case err == nil:
		reset(client)
	case err2 == nil:
		reset(inside)
	}
}

// through leads v to a container of the way that there is now; what it said
// already goes first.
func (f *front) through(v *visitor, now func() *way, said []byte) {
	defer v.Close()
	if inside, told := f.lead(v, now, arrives(v)); inside != nil {
		f.between(v, inside, said, told)
	}
}

// arrives is what is known of a connection that begins.
func arrives(v *visitor) Connection {
	return Connection{Listen: v.door.String(), Client: clientOf(v.RemoteAddr()), Began: time.Now()}
}

// turnAway cuts v off, who may not come in.
func (f *front) turnAway(v *visitor, told Connection) {
	v.door.denied.Add(1)
	told.Denied = true
	f.set.Recorder.Connection(told)
	v.cut()
}

// lead connects v to a container of the way that there is now. Who may not
// come in is turned away before any container hears of it; of whom a service is
// known already has been let in once. Where it gives none, v is cut.
func (f *front) lead(v *visitor, now func() *way, told Connection) (*guest, Connection) {
	for held, judged := f.hold(), admitted; ; {
		w := now()
		if w == nil { // the route went while this one came in
			v.cut()
			return nil, told
		}
		if told.Service == "" {
			judged = w.admit(told.Client)
		}
		told.Service = w.service
		if judged != admitted || !w.lets(told.Client) {
			f.turnAway(v, told)
			return nil, told
		}
		inside, err := f.connect(f.ctx, w, v)
		if err == nil {
			return inside, told
		}
		if now() == w && !held.wait(f.ctx, w) {
			v.door.failed.Add(1)
			f.set.Log.Debug("no way in", "listen", v.door.String(), "service", w.service, "err", err)
			v.cut()
			return nil, told
		}
	}
}

// between passes bytes until both sides are done, and counts them.
func (f *front) between(v *visitor, inside *guest, said []byte, told Connection) {
	defer inside.leave()
	t := f.tallies.of(told.Service)
	t.open.Add(1)
	t.connections.Add(1)
	defer t.open.Add(-1)
	if _, err := inside.Write(said); err != nil {
		reset(inside.TCPConn)
		reset(v.TCPConn)
		return
	}
	told.In, told.Out = join(f.ctx, v.TCPConn, inside.TCPConn, &[2]relay.End{})
	told.In += int64(len(said))
	t.in.Add(told.In)
	t.out.Add(told.Out)
	told.Took = time.Since(told.Began)
	f.set.Recorder.Connection(told)
}

// connect tries each of w's containers once, beginning with the next in turn.
// No byte has been passed yet, so trying another one repeats nothing.
func (f *front) connect(ctx context.Context, w *way, v *visitor) (*guest, error) {
	errs := []error{}
	for _, b := range w.inTurn(clientOf(v.RemoteAddr())) {
		c, err := f.admit(ctx, b.target, v)
		if !moved(err) {
			b.fared(err == nil)
		}
		if err == nil {
			return b.welcome(c, v)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, errNoTarget
	}
	return nil, errors.Join(errs...)
}

// admit connects v to a container, in its own manner.
func (f *front) admit(ctx context.Context, t route.Target, v *visitor) (*guest, error) {
	if v.TCPConn == nil {
		return f.enterBare(ctx, t)
	}
	return f.enter(ctx, t)
}

// join passes bytes both ways until both sides are done, and closes both. One
// side may be done while the other still speaks, or before: sides say how far
// a and b are. It tells how many bytes went from a to b, and back.
func join(ctx context.Context, a, b *net.TCPConn, sides *[2]relay.End) (ab, ba int64) {
	stop := context.AfterFunc(ctx, func() {
		reset(a)
		reset(b)
	})
	defer stop()
	var back sync.WaitGroup
	var there, here error
	back.Go(func() { ba, there = pass(a, b, &sides[1]) })
	ab, here = pass(b, a, &sides[0])
	back.Wait()
	if there != nil || here != nil {
		reset(a)
		reset(b)
		return ab, ba
	}
	a.Close()
	b.Close()
	return ab, ba
}

// pass copies until from is done speaking, and says so to to. When from broke
// off, to hears of it at once. When to did, from may still get what to had
// said before: the other direction carries it, and ends by itself.
func pass(to, from *net.TCPConn, side *relay.End) (int64, error) {
	if side.Done {
		return 0, nil
	}
	var n int64
	_, err := to.Write(side.Rest) // counted when it was read
	if err == nil {
		n, err = carry(to, from)
	}
	if err != nil {
		if !dead(to) {
			reset(to)
		}
		return n, err
	}
	to.CloseWrite() // fails only when to is gone, which the other direction finds out
	return n, nil
}

// words is how often something short is carried by hand, which for a question
// or an answer costs less than a pipe for the kernel to carry it in.
const words = 3

// short is a buffer for what is not much. It is lent for the first words of a
// connection alone: the kernel holds what comes later.
type short [4 << 10]byte

var shorts = sync.Pool{New: func() any { return new(short) }}

// carry copies to the end, what is much of it within the kernel.
func carry(to, from *net.TCPConn) (int64, error) {
	sent, more, err := byHand(to, from)
	if !more {
		return sent, err
	}
	n, err := io.Copy(to, from)
	return sent + n, err
}

// byHand copies the first words, and tells whether there may be more to come.
func byHand(to, from *net.TCPConn) (sent int64, more bool, err error) {
	b := shorts.Get().(*short)
	defer shorts.Put(b)
	for range words {
		n, heard := from.Read(b[:])
		if n > 0 {
			n, err = to.Write(b[:n])
			sent += int64(n)
		}
		switch {
		case err != nil:
			return sent, false, err
		case heard == io.EOF:
			return sent, false, nil
		case heard != nil:
			return sent, false, heard
		case n == len(b):
			return sent, true, nil
		}
	}
	return sent, true, nil
}

// dead tells whether c's peer broke off. The error of a copy does not tell
// which of the two it was.
func dead(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	const closed = 7 // TCP_CLOSE of linux/tcp_states.h
	is := true
	raw.Control(func(fd uintptr) {
		n, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		var info [4]byte // the first byte of struct tcp_info is the state
		binary.NativeEndian.PutUint32(info[:], uint32(n))
		is = err != nil || info[0] == closed
	})
	return is
}

// reset closes c so that its peer sees a broken connection, not a finished one.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// clientOf is the address at the other end. What has none may go nowhere.
func clientOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// A connection that no container takes is held: while there is none, as when
// one that writes is stopped before its successor starts, for Settings.Hold;
// while there are some that refuse, as when one starts again, for at most
// refusing of that time. It is asked again each pause. Nothing was sent, so nothing repeats.
const (
	refusing = 5 * time.Second
	pause    = 50 * time.Millisecond
)

// holding is one connection's patience.
type holding struct {
	began   time.Time
	most    time.Duration
	refused time.Time // since when there are containers, and all refuse
}

func (f *front) hold() holding { return holding{began: time.Now(), most: f.set.Hold} }

// wait waits a moment before the next try; it is false when patience has ended,
// as it has at once for what is not to run.
func (h *holding) wait(ctx context.Context, w *way) bool {
	now := time.Now()
	switch {
	case w.stopped || now.Sub(h.began) >= h.most:
		return false
	case len(w.backends) == 0:
		h.refused = time.Time{}
	case h.refused.IsZero(): // one that has just started may not listen yet
		h.refused = now
	case now.Sub(h.refused) >= refusing:
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
