package ingress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/spec"
)

// ErrElsewhere is in the error of a Dial when the container is not, or not
// only, at its address any more.
var ErrElsewhere = errors.New("the container is not at its address")

// Bounds of UDP. A flow has a socket and about 4 KiB; what waits for a container
// to be reached is bounded for all of them together.
const (
	mostFlows    = 4096
	mostOfClient = 512
	mostWaiting  = 4 << 20 // bytes
	mostQueued   = 16      // datagrams of a flow
)

// A flow to a container that left ends when that does not answer for so long,
// or after so long at all.
const (
	leavingQuiet = 5 * time.Second
	leavingMost  = 30 * time.Second
)

// flowKey tells flows apart: who speaks, by which door, with which address of ours.
type flowKey struct {
	port   uint16
	client netip.AddrPort
	to     netip.Addr
}

// flow is a conversation of one client with one container, in two directions
// between two sockets. It ends when nothing is said for a while.
type flow struct {
	key    flowKey
	door   *door
	socket *packets
	at     unix.Sockaddr // the client
	from   []byte        // sends answers from the address it asked

	heard, answered atomic.Int64 // when the client and the container spoke last, in nanoseconds
	reached         atomic.Bool  // it has a container
	settled         atomic.Bool  // the client went on after an answer: nobody forged its address

	mu     sync.Mutex // guards what follows
	target route.Target
	inside *net.UDPConn // nil while it is dialled
	raw    syscall.RawConn
	queue  [][]byte // what waits meanwhile
	over   bool
	left   time.Time // when the container left the table
	leave  func()
}

// flows are those of all doors.
type flows struct {
	mu      sync.Mutex // guards what follows
	all     map[flowKey]*flow
	of      map[netip.Prefix]map[*flow]bool
	waiting atomic.Int64 // bytes in queues
}

func newFlows() flows {
	return flows{all: map[flowKey]*flow{}, of: map[netip.Prefix]map[*flow]bool{}}
}

// readUDP takes in what comes until p is closed.
func (f *front) readUDP(d *door, p *packets) {
	select {
	case <-f.mine:
	case <-f.ctx.Done():
	}
	for {
		err := p.next(func(g datagram) { f.takeUDP(d, p, g) })
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return // the second is how an heir has us leave the socket to it
		}
	}
}

// takeUDP passes a datagram on in its flow, or begins one.
func (f *front) takeUDP(d *door, p *packets, g datagram) {
	key := flowKey{d.port, g.client, g.to}
	f.flows.mu.Lock()
	fl := f.flows.all[key]
	f.flows.mu.Unlock()
	if fl != nil && fl.pass(f, g.bytes) {
		return
	}
	if fl = f.newFlow(d, p, g); fl == nil {
		return
	}
	fl.pass(f, g.bytes)
	f.serving.Go(func() { f.carry(fl) })
}

// newFlow makes room and begins, or gives nil for who may not or finds none.
func (f *front) newFlow(d *door, p *packets, g datagram) *flow {
	w := f.now.Load().udp[d.port]
	if w == nil || f.ctx.Err() != nil {
		return nil
	}
	d.total.Add(1)
	client := g.client.Addr().Unmap()
	if w.admit(client) != admitted {
		d.denied.Add(1)
		return nil
	}
	fl := &flow{key: flowKey{d.port, g.client, g.to}, door: d, socket: p, at: g.at, from: p.from(g.to)}
	fl.heard.Store(time.Now().UnixNano())
	if !f.flows.admit(fl, householdOf(client)) {
		d.crowded.Add(1)
		return nil
	}
	d.now.Add(1)
	f.inside.Add(1)
	return fl
}

// admit makes room for fl. A client's own longest quiet flow gives way to its
// next one. When all places are taken, one gives way whose client was never
// heard after an answer, as it is with forged addresses; conversations do not.
// Nor does who still looks for a container: that would not end the looking.
func (fs *flows) admit(fl *flow, client netip.Prefix) bool {
	fs.mu.Lock()
	var old *flow
	switch {
	case len(fs.of[client]) >= mostOfClient:
		old = quietest(fs.of[client], func(o *flow) bool { return o.reached.Load() })
	case len(fs.all) >= mostFlows:
		some := map[*flow]bool{}
		for _, o := range fs.all { // it begins anywhere
			if some[o] = true; len(some) == 32 {
				break
			}
		}
		old = quietest(some, func(o *flow) bool { return o.reached.Load() && !o.settled.Load() })
	default:
		fs.put(fl, client)
		fs.mu.Unlock()
		return true
	}
	if old == nil {
		fs.mu.Unlock()
		return false
	}
	fs.forget(old)
	fs.put(fl, client)
	fs.mu.Unlock()
	old.end()
	return true
}

// put needs the lock.
func (fs *flows) put(fl *flow, client netip.Prefix) {
	fs.all[fl.key] = fl
	if fs.of[client] == nil {
		fs.of[client] = map[*flow]bool{}
	}
	fs.of[client][fl] = true
}

// quietest looks at a few: the map begins anywhere.
func quietest(among map[*flow]bool, may func(*flow) bool) *flow {
	var old *flow
	looked := 0
	for o := range among {
		if may(o) && (old == nil || o.spoke() < old.spoke()) {
			old = o
		}
		if looked++; looked == 32 {
			break
		}
	}
	return old
}

func (fs *flows) drop(fl *flow) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.forget(fl)
}

// forget needs the lock.
func (fs *flows) forget(fl *flow) {
	client := householdOf(fl.key.client.Addr())
	if fs.all[fl.key] == fl {
		delete(fs.all, fl.key)
	}
	if delete(fs.of[client], fl); len(fs.of[client]) == 0 {
		delete(fs.of, client)
	}
}

func (fs *flows) list() []*flow {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	all := make([]*flow, 0, len(fs.all))
	for _, fl := range fs.all {
		all = append(all, fl)
	}
	return all
}

func (fl *flow) spoke() int64 { return max(fl.heard.Load(), fl.answered.Load()) }

// pass gives the container a datagram, or keeps it until there is one. It is
// false when the flow is over, and the datagram should begin another.
func (fl *flow) pass(f *front, b []byte) bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.over {
		return false
	}
	fl.heard.Store(time.Now().UnixNano())
	if fl.answered.Load() != 0 {
		fl.settled.Store(true)
	}
	if fl.inside != nil {
		return fl.write(b)
	}
	if len(fl.queue) < mostQueued && f.flows.waiting.Add(int64(len(b))) <= mostWaiting {
		fl.queue = append(fl.queue, slices.Clone(b))
	} else if len(fl.queue) < mostQueued {
		f.flows.waiting.Add(-int64(len(b)))
	}
	return true
}

// write needs the lock. It is false when the socket is dead, as when its
// portal went, with the network that it is in.
func (fl *flow) write(b []byte) bool {
	var err error
	for range 2 { // the first error may be one that an earlier datagram had
		fl.raw.Write(func(fd uintptr) bool {
			err = unix.Sendto(int(fd), b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
			return true
		})
		if !errors.Is(err, unix.ECONNREFUSED) {
			break
		}
	}
	switch {
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EMSGSIZE), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EINTR):
		return true // at worst it is lost, as datagrams are
	}
	fl.over = true
	fl.inside.Close() // which ends carry
	return false
}

// end ends fl. It may be called twice.
func (fl *flow) end() {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.over = true
	if fl.inside != nil {
		fl.inside.Close()
	}
}

// carry is the whole life of a flow.
func (f *front) carry(fl *flow) {
	defer f.inside.Done()
	defer fl.door.now.Add(-1)
	defer f.flows.drop(fl)
	if err := f.reach(fl); err != nil {
		fl.end()
		fl.door.failed.Add(1)
		f.set.Log.Debug("no way in", "listen", fl.door.String(), "err", err)
		return
	}
	defer fl.leave()
	defer fl.end()
	for {
		fl.inside.SetReadDeadline(time.Unix(0, fl.spoke()).Add(f.idle()))
		switch err := fl.answer(); {
		case err == nil, errors.Is(err, syscall.ECONNREFUSED): // nobody listens there, yet
		case errors.Is(err, os.ErrDeadlineExceeded):
			if time.Since(time.Unix(0, fl.spoke())) >= f.idle() {
				return
			}
		default:
			return
		}
	}
}

// idle is how long a flow may be silent.
func (f *front) idle() time.Duration {
	if f.replaced() { // the client is with the heir by now
		return min(f.set.UDPIdle, leavingQuiet)
	}
	return f.set.UDPIdle
}

// leaveFlows has the heir take in what comes. Answers still go out, by the
// socket that we share.
func (f *front) leaveFlows(d *door) {
	for _, p := range d.packets {
		p.SetReadDeadline(time.Unix(1, 0))
	}
	for _, fl := range f.flows.list() {
		if fl.mu.Lock(); fl.door == d && fl.inside != nil {
			fl.inside.SetReadDeadline(time.Now().Add(leavingQuiet))
		}
		fl.mu.Unlock()
	}
}

// answer passes one datagram of the container to the client.
func (fl *flow) answer() error {
	var b *[maxDatagram]byte
	var n int
	var err error
	waited := fl.raw.Read(func(fd uintptr) bool {
		b = datagrams.Get().(*[maxDatagram]byte)
		n, err = unix.Read(int(fd), b[:])
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			datagrams.Put(b)
			b = nil
			return false
		}
		return true
	})
	if b != nil {
		defer datagrams.Put(b)
	}
	if err := errors.Join(waited, err); err != nil {
		return err
	}
	fl.answered.Store(time.Now().UnixNano())
	fl.socket.send(b[:n], fl.from, fl.at)
	return nil
}

// reach finds a container for fl and gives it what waited.
func (f *front) reach(fl *flow) error {
	defer func() {
		fl.mu.Lock()
		defer fl.mu.Unlock()
		for _, b := range fl.queue {
			f.flows.waiting.Add(-int64(len(b)))
		}
		fl.queue = nil
	}()
	for held := f.hold(); ; {
		w := f.now.Load().udp[fl.key.port]
		if w == nil || !w.lets(fl.key.client.Addr().Unmap()) { // judged by another table before
			return errMoved
		}
		err := f.reachOne(fl, w)
		if err == nil {
			return nil
		}
		if f.now.Load().udp[fl.key.port] == w && !held.wait(f.ctx, w) {
			return err
		}
	}
}

func (f *front) reachOne(fl *flow, w *way) error {
	errs := []error{}
	for _, b := range w.inTurn(fl.key.client.Addr().Unmap()) {
		c, leave, err := f.enterUDP(f.ctx, b.target)
		if err == nil {
			return fl.begin(c, b.counted(leave), b.target)
		}
		if errs = append(errs, err); f.ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return errNoTarget
	}
	return errors.Join(errs...)
}

// enterUDP makes a socket to a container of the table that is followed.
// Errors: errMoved.
func (f *front) enterUDP(ctx context.Context, t route.Target) (*net.UDPConn, func(), error) {
	leave := f.register(t.Container)
	if leave == nil {
		return nil, nil, errMoved
	}
	c, err := f.dialUDP(ctx, t)
	if err != nil {
		leave()
		return nil, nil, err
	}
	return c, leave, nil
}

func (f *front) dialUDP(ctx context.Context, t route.Target) (*net.UDPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := f.set.Dial(ctx, spec.UDP, t)
	if err != nil {
		return nil, err
	}
	udp, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return nil, problem.New(problem.Internal, "the portal of %s handed over no UDP socket", t.Environment)
	}
	return udp, nil
}

// begin opens the way in and sends what waited, in order.
func (fl *flow) begin(c *net.UDPConn, leave func(), t route.Target) error {
	raw, err := c.SyscallConn()
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if err == nil && fl.over {
		err = net.ErrClosed
	}
	if err != nil {
		c.Close()
		leave()
		return err
	}
	fl.inside, fl.raw, fl.target, fl.leave = c, raw, t, leave
	fl.reached.Store(true)
	for _, b := range fl.queue {
		if !fl.write(b) {
			break
		}
	}
	return nil
}

// lookAfterFlows ends the flows that the table does not lead anywhere any more,
// and asks whether containers still are where flows lead: a UDP socket would
// not notice that another container got the address.
func (f *front) lookAfterFlows(now time.Time) {
	v := f.now.Load()
	to := map[route.Target][]*flow{}
	for _, fl := range f.flows.list() {
		w := v.udp[fl.key.port]
		if w == nil || !w.lets(fl.key.client.Addr().Unmap()) || fl.leaves(w, now) {
			fl.end()
			continue
		}
		fl.mu.Lock()
		if fl.inside != nil {
			to[fl.target] = append(to[fl.target], fl)
		}
		fl.mu.Unlock()
	}
	for t, those := range to {
		f.serving.Go(func() {
			c, err := f.dialUDP(f.ctx, t)
			if err == nil {
				c.Close()
				return
			}
			if errors.Is(err, ErrElsewhere) {
				for _, fl := range those {
					fl.end()
				}
			}
		})
	}
}

// leaves tells whether fl is to end because its container left.
func (fl *flow) leaves(w *way, now time.Time) bool {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	if fl.inside == nil || slices.ContainsFunc(w.backends, func(b *backend) bool { return b.target == fl.target }) {
		fl.left = time.Time{}
		return false
	}
	if fl.left.IsZero() {
		fl.left = now
	}
	quiet := now.Sub(time.Unix(0, fl.answered.Load())) >= leavingQuiet
	return quiet || now.Sub(fl.left) >= leavingMost
}

// closeFlows ends all of a door, or all where it is nil.
func (f *front) closeFlows(d *door) {
	for _, fl := range f.flows.list() {
		if d == nil || fl.door == d {
			fl.end()
		}
	}
}
