// Package relay passes bytes between TCP connections that the runtime knows
// nothing of, for the ingress: what is short costs least so.
package relay

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Relay passes bytes between many pairs at once: a pair costs it two
// descriptors and no goroutine. It is for what is short or rare: who says much
// at once, or does not listen, is given back to its owner. Make it with New,
// run it with Run.
type Relay struct {
	epoll  int
	events *os.File // epoll, as the runtime's poller knows it
	raw    syscall.RawConn

	mu    sync.Mutex // guards what follows
	pairs []*Pair    // by their slot
	free  []int32    // slots
	count int32      // pairs that there were so far
	ended bool
}

// Pair is two connections whose bytes go from one to the other. The relay has
// them from Take on until it tells Owner.
type Pair struct {
	Owner Owner
	Ends  [2]End

	slot   int32
	number int32      // tells it from others that had its slot; 0 until it has one
	mu     sync.Mutex // guards what follows, and Ends
	over   bool       // it is no more the relay's
}

// Owner hears once what becomes of a pair. It must not wait.
type Owner interface {
	Over()  // both are closed
	Grows() // both are the owner's again: it is more than a relay should carry
}

// End is one side of a pair.
type End struct {
	Conn
	Said int64  // bytes that came from there
	Done bool   // it says no more, and the other side knows
	Rest []byte // counted in Said, but the other side did not take it yet
}

const (
	handful = 16 << 10  // is read at once
	much    = 256 << 10 // is not for a relay
)

// New makes a relay that does nothing yet.
func New() (*Relay, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // or it is not polled
		unix.Close(epoll)
		return nil, os.NewSyscallError("fcntl", err)
	}
	r := &Relay{epoll: epoll, events: os.NewFile(uintptr(epoll), "epoll")}
	if r.raw, err = r.events.SyscallConn(); err == nil {
		err = r.events.SetReadDeadline(time.Time{}) // refused where it is not polled
	}
	if err != nil {
		r.events.Close()
		return nil, err
	}
	return r, nil
}

// Run passes bytes until ctx ends, and then breaks all pairs. Those that come
// later are broken at once. It may be called once.
func (r *Relay) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { r.events.SetReadDeadline(time.Unix(1, 0)) })()
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
		if err != nil || ctx.Err() != nil {
			r.end()
			return
		}
		for _, e := range events[:n] {
			r.hear(e, room)
		}
	}
}

// end breaks all pairs.
func (r *Relay) end() {
	r.mu.Lock()
	r.ended = true
	all := r.pairs
	r.pairs = nil
	r.mu.Unlock()
	for _, p := range all {
		if p == nil {
			continue
		}
		p.mu.Lock()
		if !p.over {
			p.settle(broken)
		}
		p.mu.Unlock()
	}
	r.events.Close()
}

// Take passes bytes between both ends from now on. What the first said by now
// goes first, in room: mostly that is its question.
func (r *Relay) Take(p *Pair, room []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how := p.pass(0, 0, room)
	if how == goesOn && !r.keep(p) {
		how = broken
	}
	for side := range p.Ends {
		if how != goesOn {
			break
		}
		// Edges only: of what came before this it tells, too.
		e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: p.slot<<1 | int32(side), Pad: p.number}
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, int(p.Ends[side].Conn), &e); err != nil {
			how = broken
		}
	}
	if how != goesOn {
		r.let(p, how)
	}
}

// keep gives p a slot, until the end.
func (r *Relay) keep(p *Pair) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.count = max(r.count+1, 1) // never 0
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
func (r *Relay) of(e unix.EpollEvent) *Pair {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slot := int(e.Fd >> 1); slot < len(r.pairs) && r.pairs[slot] != nil && r.pairs[slot].number == e.Pad {
		return r.pairs[slot]
	}
	return nil
}

// hear passes on what an event told of.
func (r *Relay) hear(e unix.EpollEvent, room []byte) {
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

// let lets go of p, whose lock is held.
func (r *Relay) let(p *Pair, how fate) {
	if p.number != 0 {
		r.mu.Lock()
		if !r.ended {
			r.pairs[p.slot] = nil
			r.free = append(r.free, p.slot)
		}
		r.mu.Unlock()
	}
	if p.number != 0 && how == grows {
		for i := range p.Ends {
			unix.EpollCtl(r.epoll, unix.EPOLL_CTL_DEL, int(p.Ends[i].Conn), &unix.EpollEvent{}) // it may not be there yet
		}
	}
	p.settle(how)
}

// fate is what becomes of a pair.
type fate int

const (
	goesOn   fate = iota
	finished      // both sides said all
	broken
	grows
)

// pass passes on what one side said. Room is for what is read.
func (p *Pair) pass(side int, events uint32, room []byte) fate {
	from, to := &p.Ends[side], &p.Ends[1-side]
	if from.Done {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			return broken // nothing can be said to it any more
		}
		return goesOn
	}
	n, ended := 0, false
	for n < len(room) && !ended {
		m, err := from.Recv(room[n:])
		if err == unix.EAGAIN {
			break
		}
		if err != nil { // it broke off: its last words, and nothing comes after
			from.Said += int64(n)
			to.Send(room[:n], 0)
			return broken
		}
		n += m
		ended = m == 0
	}
	from.Said += int64(n)
	if n > 0 {
		how := 0
		if ended {
			how = unix.MSG_MORE // the end goes with it
		}
		if sent, err := to.Send(room[:n], how); err != nil || sent < n {
			from.Rest = append(from.Rest, room[sent:n]...)
			return grows
		}
	}
	switch {
	case ended && to.Done:
		return finished
	case ended:
		from.Done = true
		to.Finish()
	case n == len(room) || from.Said > much:
		return grows
	}
	return goesOn
}

// settle ends the relay's part in p, and tells the owner.
func (p *Pair) settle(how fate) {
	p.over = true
	switch how {
	case grows:
		p.Owner.Grows()
		return
	case broken:
		p.Ends[0].Reset()
		p.Ends[1].Reset()
	default:
		p.Ends[0].Close()
		p.Ends[1].Close()
	}
	p.Owner.Over()
}
