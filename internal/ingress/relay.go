package ingress

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// relay passes bytes between bare connections, many pairs at once: a pair costs
// it two descriptors and no goroutine. It is for what is short or rare. Who
// says much at once, or does not listen, gets two goroutines and has its bytes
// spliced.
type relay struct {
	f      *front
	epoll  int
	events *os.File // epoll, as the runtime's poller knows it
	raw    syscall.RawConn

	mu    sync.Mutex // guards what follows
	pairs []*pair    // by their slot
	free  []int32    // slots
	count int32      // pairs that there ever were
	ended bool
}

// pair is a visitor and the container it is led to.
type pair struct {
	v      *visitor
	inside *guest
	told   Connection
	tally  *tally
	slot   int32
	number int32 // tells it from others that had its slot

	mu   sync.Mutex // guards what follows
	ends [2]end
	over bool // it is no more the relay's
}

// end is one side of a pair: 0 is the client's, 1 the container's.
type end struct {
	bare
	said int64  // bytes that came from there
	done bool   // it says no more, and the other side knows
	rest []byte // that came from there, and the other side does not take
}

const (
	handful = 16 << 10 // is read at once
	much    = 256 << 10
)

// newRelay makes a relay that runs until f ends.
func newRelay(f *front) (*relay, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // or it is not polled
		unix.Close(epoll)
		return nil, os.NewSyscallError("fcntl", err)
	}
	r := &relay{f: f, epoll: epoll, events: os.NewFile(uintptr(epoll), "epoll")}
	if r.raw, err = r.events.SyscallConn(); err == nil {
		err = r.events.SetReadDeadline(time.Time{}) // refused where it is not polled
	}
	if err != nil {
		r.events.Close()
		return nil, err
	}
	f.serving.Go(r.run)
	return r, nil
}

// run passes bytes until f ends, and then cuts everybody.
func (r *relay) run() {
	stop := context.AfterFunc(r.f.ctx, func() { r.events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var events [128]unix.EpollEvent
	room := make([]byte, handful)
	for {
		n := 0
		err := r.raw.Read(func(fd uintptr) bool {
			m, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&events)), uintptr(len(events)), 0, 0, 0)
			if e == 0 {
				n = int(m)
			}
			return n > 0
		})
		if err != nil || r.f.ctx.Err() != nil {
			r.cut()
			return
		}
		for _, e := range events[:n] {
			r.hear(e, room)
		}
	}
}

// cut ends all pairs; whoever comes later is cut, too.
func (r *relay) cut() {
	r.mu.Lock()
	r.ended = true
	all := r.pairs
	r.pairs = nil
	r.mu.Unlock()
	for _, p := range all {
		if p != nil {
			p.mu.Lock()
			if !p.over {
				p.cut()
				r.f.leave(p)
			}
			p.mu.Unlock()
		}
	}
	r.events.Close()
}

// take passes bytes between two from now on, and counts them. What the client
// said by now goes first: mostly that is its question.
func (r *relay) take(p *pair) {
	p.tally.open.Add(1)
	p.tally.connections.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	lent := shorts.Get().(*short)
	how := p.pass(0, 0, lent[:])
	shorts.Put(lent)
	if how == goesOn && !r.keep(p) {
		how = broken
	}
	for side := range p.ends {
		if how != goesOn {
			break
		}
		// Edges only: what came before this is told of, too.
		e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: p.slot<<1 | int32(side), Pad: p.number}
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, int(p.ends[side].bare), &e); err != nil {
			how = broken
		}
	}
	if how != goesOn {
		r.let(p, how)
	}
}

// keep gives p a slot.
func (r *relay) keep(p *pair) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.count++
	p.number = r.count
	if n := len(r.free); n > 0 {
		p.slot, r.free = r.free[n-1], r.free[:n-1]
		r.pairs[p.slot] = p
		return true
	}
	p.slot = int32(len(r.pairs))
	r.pairs = append(r.pairs, p)
	return true
}

// of gives the pair that an event is about, if there still is one.
func (r *relay) of(e unix.EpollEvent) *pair {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slot := int(e.Fd >> 1); slot < len(r.pairs) && r.pairs[slot] != nil && r.pairs[slot].number == e.Pad {
		return r.pairs[slot]
	}
	return nil
}

// hear passes on what an event told of.
func (r *relay) hear(e unix.EpollEvent, room []byte) {
	p := r.of(e)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	if how := p.pass(int(e.Fd&1), e.Events, room); how != goesOn {
		r.let(p, how)
	}
}

// fate is what becomes of a pair.
type fate int

const (
	goesOn   fate = iota
	finished      // both sides said all
	broken
	grows // it is more than a relay should carry
)

// pass passes on what one side said. Room is for what is read.
func (p *pair) pass(side int, events uint32, room []byte) fate {
	from, to := &p.ends[side], &p.ends[1-side]
	if from.done {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			return broken // nothing can be said to it any more
		}
		return goesOn
	}
	n, ended := 0, false
	for n < len(room) && !ended {
		m, err := from.recv(room[n:])
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			return p.lost(from, to, room[:n])
		}
		n += m
		ended = m == 0
	}
	if n > 0 {
		from.said += int64(n)
		how := 0
		if ended {
			how = unix.MSG_MORE // the end goes with it
		}
		sent, err := to.send(room[:n], how)
		if err != nil || sent < n {
			from.rest = append([]byte(nil), room[max(sent, 0):n]...)
			return grows
		}
	}
	switch {
	case ended && to.done:
		return finished
	case ended:
		from.done = true
		to.finish()
	case n == len(room) || from.said > much:
		return grows
	}
	return goesOn
}

// lost passes on the last words of one who broke off. The other side hears of it.
func (p *pair) lost(from, to *end, last []byte) fate {
	from.said += int64(len(last))
	to.send(last, 0)
	return broken
}

// cut closes both sides so that they see a broken connection.
func (p *pair) cut() {
	p.over = true
	p.ends[0].reset()
	p.ends[1].reset()
}

// let lets go of p, whose lock is held.
func (r *relay) let(p *pair, how fate) {
	r.mu.Lock()
	if p.number != 0 && !r.ended {
		r.pairs[p.slot] = nil
		r.free = append(r.free, p.slot)
	}
	r.mu.Unlock()
	switch how {
	case broken:
		p.cut()
	case finished:
		p.over = true
		p.ends[0].close()
		p.ends[1].close()
	case grows:
		p.over = true
		if p.number != 0 {
			for _, e := range p.ends {
				_ = unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, int(e.bare), nil) // it may not be there yet
			}
		}
		r.f.serving.Go(func() { r.f.goOn(p) })
		return
	}
	r.f.leave(p)
}

// goOn passes the bytes of a pair that the relay had so far.
func (f *front) goOn(p *pair) {
	client, err := p.ends[0].whole()
	inside, err2 := p.ends[1].whole()
	if errors.Join(err, err2) != nil {
		for _, c := range []*net.TCPConn{client, inside} {
			if c != nil {
				reset(c)
			}
		}
		f.leave(p)
		return
	}
	in, out := join(f.ctx, client, inside, &p.ends)
	p.ends[0].said += in
	p.ends[1].said += out
	f.leave(p)
}

// leave counts a pair that is over; its connections are closed.
func (f *front) leave(p *pair) {
	t := p.tally
	t.open.Add(-1)
	p.told.In, p.told.Out = p.ends[0].said, p.ends[1].said
	t.in.Add(p.told.In)
	t.out.Add(p.told.Out)
	p.told.Took = time.Since(p.told.Began)
	f.set.Recorder.Connection(p.told)
	p.inside.leave()
	p.v.left()
}

// relays are as many as share the work well.
type relays struct {
	all  []*relay
	next atomic.Uint32
}

// relay makes relays. Without one connections are passed without.
func (f *front) relay(many int) {
	for range many {
		r, err := newRelay(f)
		if err != nil {
			f.set.Log.Warn("no relay", "err", err)
			return
		}
		f.relays.all = append(f.relays.all, r)
	}
}

// turn gives the next in turn.
func (rs *relays) turn() *relay { return rs.all[int(rs.next.Add(1))%len(rs.all)] }
