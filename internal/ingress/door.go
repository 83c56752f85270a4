package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
	"havre/internal/relay"
	"havre/internal/route"
	"havre/internal/spec"
)

// keepAlive finds out within about two minutes that a peer is gone, on both
// sides of every connection: nothing else ends one on which nobody speaks.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// lookAgain is how long an answer to "who has the port" is believed: the whole
// of /proc is too much to read at every try.
const lookAgain = 20 * time.Second

type doorKind string

const (
	tcpDoor   doorKind = "tcp"
	httpDoor  doorKind = "http"
	httpsDoor doorKind = "https"
	udpDoor   doorKind = "udp"
)

// key tells doors apart. What is not in it may change while the door is open.
type key struct {
	port uint16
	kind doorKind
	near bool // bound so that only this machine reaches it
}

// String is how doors are named to people.
func (k key) String() string { return fmt.Sprintf(":%d/%s", k.port, k.kind) }

// door is an outside port: the sockets it listens on, and who came in.
type door struct {
	key
	enter  func(*visitor)
	inside *sync.WaitGroup // visitors of all doors
	most   int64
	warn   func(error)

	sockets []net.Listener   // guarded by front.mu, as the next three
	bare    []*os.File       // the same sockets, where what they accept is bare
	packets []*packets       // of a UDP door, instead
	why     *problem.Problem // why it is shut
	looked  time.Time        // when it was last found out who has the port
	closed  chan struct{}

	now, total, denied, crowded, beyond, failed atomic.Int64

	shares shares // of its clients
}

// visitor is a connection that came in by a door. Close may be called twice.
type visitor struct {
	*net.TCPConn            // nil while it is bare
	bare         relay.Conn // where there is no other
	door         *door
	head         []byte // what was read already to see where it wants to go
	gone         atomic.Bool
	household    netip.Prefix // in whose share it is counted, if in any
	said         *record      // of HTTP without TLS, once net/http has it
	login        *backend     // that knows its client by a connection: see wire.own

	client, here net.Addr // as a trusted proxy told them; the client of a bare one is always known
}

// Read gives what was read already, then what comes.
func (v *visitor) Read(b []byte) (int, error) {
	if len(v.head) > 0 {
		n := copy(b, v.head)
		v.head = v.head[n:]
		v.said.hear(b[:n])
		return n, nil
	}
	n, err := v.TCPConn.Read(b)
	v.said.hear(b[:n])
	return n, err
}

// WriteTo gives what was read already first, too: that of the connection below
// would leave it out.
func (v *visitor) WriteTo(to io.Writer) (int64, error) {
	n, err := to.Write(v.head)
	if v.head = v.head[n:]; err != nil {
		return int64(n), err
	}
	more, err := v.TCPConn.WriteTo(to)
	return int64(n) + more, err
}

// Close closes the connection and makes room for another.
func (v *visitor) Close() error {
	defer v.left()
	return v.TCPConn.Close()
}

// left makes room for another.
func (v *visitor) left() {
	if v.gone.CompareAndSwap(false, true) {
		if v.household.IsValid() {
			v.door.shares.give(v.household)
		}
		v.door.now.Add(-1)
		v.door.inside.Done()
	}
}

// cut shows the client a broken connection.
func (v *visitor) cut() {
	if v.TCPConn != nil {
		reset(v.TCPConn)
		return
	}
	v.bare.Reset()
	v.left()
}

func (f *front) newDoor(k key) *door {
	d := &door{key: k, inside: &f.inside, most: int64(f.set.MaxConns), closed: make(chan struct{})}
	d.warn = func(err error) { f.set.Log.Warn("accept", "listen", k.String(), "err", err) }
	switch k.kind {
	case tcpDoor:
		d.enter = func(v *visitor) { f.serving.Go(func() { f.serveTCP(v) }) }
	case httpDoor:
		d.enter = f.takeHTTP
	case httpsDoor:
		d.enter = f.takeTLS
	}
	d.enter = f.greeted(f.sharing(d.enter))
	return d
}

func (d *door) open() bool { return len(d.sockets)+len(d.packets) > 0 }

// openDoor binds all of d's addresses or none.
func (f *front) openDoor(d *door) *problem.Problem {
	if d.kind == udpDoor {
		return f.openUDP(d)
	}
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	lc.SetMultipathTCP(false) // a handed-over socket is plain TCP, and both ends of a splice should be
	sockets := inheritedTCP(f.legacy.take(d.key))
	if len(sockets) > 0 {
		f.listenOn(d, sockets)
		return nil
	}
	for _, host := range f.hosts(d.near) {
		l, err := lc.Listen(f.ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(d.port))))
		if err == nil {
			sockets = append(sockets, l)
			continue
		}
		if host == "::1" && noIPv6(err) {
			continue
		}
		for _, l := range sockets {
			l.Close()
		}
		return f.shut(d, err)
	}
	f.listenOn(d, sockets)
	return nil
}

func (f *front) listenOn(d *door, sockets []net.Listener) {
	d.sockets = sockets
	if d.kind != tcpDoor {
		for _, l := range sockets {
			endSlowReaders(l, f.set.BodyIdle)
		}
	}
	for _, l := range sockets {
		if raw := f.bareDoor(d, l); raw != nil {
			f.serving.Go(func() { f.acceptBare(d, raw) })
			continue
		}
		f.serving.Go(func() { d.accept(l) })
	}
}

// endSlowReaders makes the kernel end connections of l whose client takes
// nothing for that long although there is something for it: tcp(7),
// TCP_USER_TIMEOUT, which those that are accepted have of their listener. A
// kernel without it leaves them to deadlines, which small answers do not have.
func endSlowReaders(l net.Listener, after time.Duration) {
	t, ok := l.(*net.TCPListener)
	if !ok {
		return
	}
	if raw, err := t.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
		})
	}
}

// hosts lists the addresses to bind. A Bind that is loopback is for tests and
// tours: then nothing else is bound.
func (f *front) hosts(near bool) []string {
	bind := f.set.Bind
	switch {
	case near && !bind.IsLoopback():
		return []string{"127.0.0.1", "::1"}
	case bind.IsValid():
		return []string{bind.String()}
	}
	return []string{""} // both families where there are both
}

// shut explains why d cannot be opened.
func (f *front) shut(d *door, err error) *problem.Problem {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		if d.why != nil && d.why.Kind == problem.Conflict && time.Since(d.looked) < lookAgain {
			return d.why
		}
		d.looked = time.Now()
		by := ""
		if who := holderOf(d.key); who != "" {
			by = " by " + who
		}
		return problem.New(problem.Conflict, "port %d is taken%s", d.port, by).
			With("stop that program, or choose another outside port")
	case errors.Is(err, syscall.EACCES):
		return problem.New(problem.Denied, "the ingress may not listen on port %d", d.port).
			With("start Havre as root with havre up, which gives the ingress that right alone")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return problem.New(problem.Unavailable, "%s is not an address of this machine", f.set.Bind).
			With("set the ingress's bind address to one that is, or leave it out")
	}
	return problem.New(problem.Failed, "listen on port %d", d.port).Because(err)
}

// close stops listening; who is in stays. It must be called once.
func (d *door) close() {
	close(d.closed)
	for _, l := range d.sockets {
		l.Close()
	}
	for _, l := range d.bare {
		l.Close()
	}
	for _, p := range d.packets {
		p.Close()
	}
	d.sockets, d.bare, d.packets = nil, nil, nil
}

// accept lets people in until l is closed.
func (d *door) accept(l net.Listener) {
	var t trouble
	for {
		c, err := l.Accept()
		if err == nil {
			t.pause = 0
			d.admit(c.(*net.TCPConn))
			continue
		}
		if errors.Is(err, net.ErrClosed) || !t.pass(d, err) {
			return
		}
	}
}

// bareDoor gives l as what accepts bare connections, where d is such a door.
func (f *front) bareDoor(d *door, l net.Listener) syscall.RawConn {
	tcp, ok := l.(*net.TCPListener)
	if !ok || d.kind != tcpDoor || len(f.relays) == 0 {
		return nil
	}
	file, err := tcp.File() // a net.TCPListener lends its descriptor to nobody who waits
	if err != nil {
		return nil
	}
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // refused where it is not polled
	}
	if err == nil {
		err = raw.Control(func(fd uintptr) { err = relay.Conn(fd).Prepare(keepAlive) })
	}
	if err != nil {
		file.Close()
		return nil
	}
	d.bare = append(d.bare, file)
	return raw
}

// acceptBare lets people in until the listener is closed.
func (f *front) acceptBare(d *door, listener syscall.RawConn) {
	var t trouble
	for {
		var c relay.Conn
		var client netip.AddrPort
		var failed error
		err := listener.Read(func(fd uintptr) bool {
			c, client, failed = relay.Accept(fd)
			return failed != unix.EAGAIN
		})
		switch {
		case err != nil: // closed
			return
		case failed == unix.ECONNABORTED || failed == unix.EINTR: // as net sees it, too
		case failed != nil:
			if !t.pass(d, os.NewSyscallError("accept4", failed)) {
				return
			}
		default:
			t.pause = 0
			f.admitBare(d, c, client)
		}
	}
}

// admitBare lets one in. Who has a zone, or comes by a proxy that is to say for
// whom, is not for the relay.
func (f *front) admitBare(d *door, b relay.Conn, client netip.AddrPort) {
	if !client.IsValid() || within(f.set.Proxies, client.Addr()) {
		if c, err := b.Whole(keepAlive); err == nil {
			d.admit(c)
		}
		return
	}
	if !d.room() {
		b.Reset()
		return
	}
	v := &visitor{bare: b, door: d, client: net.TCPAddrFromAddrPort(client)}
	if f.share(v, client.Addr()) {
		f.leadBare(v)
	}
}

// trouble is that nobody can be let in: no descriptors or no memory. It passes
// when others leave.
type trouble struct {
	pause  time.Duration
	warned time.Time
}

// pass waits a while; it is false when d was closed meanwhile.
func (t *trouble) pass(d *door, err error) bool {
	if time.Since(t.warned) > time.Minute {
		d.warn(err)
		t.warned = time.Now()
	}
	t.pause = min(max(2*t.pause, 5*time.Millisecond), time.Second)
	select {
	case <-d.closed:
		return false
	case <-time.After(t.pause):
		return true
	}
}

// admit turns away at once who finds no room: waiting in the kernel's queue
// would look like a service that hangs.
func (d *door) admit(c *net.TCPConn) {
	if !d.room() {
		reset(c)
		return
	}
	d.enter(&visitor{TCPConn: c, door: d})
}

// room counts one more, if there is room.
func (d *door) room() bool {
	d.total.Add(1)
	if d.now.Add(1) > d.most {
		d.now.Add(-1)
		d.crowded.Add(1)
		return false
	}
	d.inside.Add(1)
	return true
}

// sharing lets in who has not had the client's share yet.
func (f *front) sharing(enter func(*visitor)) func(*visitor) {
	return func(v *visitor) {
		if f.share(v, clientOf(v.RemoteAddr())) {
			enter(v)
		}
	}
}

// share counts v among its client's, or cuts it off. A proxy that speaks for
// others has no share of its own, nor has anybody at a door that only this
// machine reaches. Who has no address gets no further than the gate.
func (f *front) share(v *visitor, client netip.Addr) bool {
	d := v.door
	if d.near || !client.IsValid() || f.trusts(client) || within(f.set.Proxies, client.WithZone("")) {
		return true
	}
	household := householdOf(client)
	held, ok, tell := d.shares.take(household, d.most-d.now.Load()) // v is in it already
	if ok {
		v.household = household
		return true
	}
	d.beyond.Add(1)
	if tell {
		f.set.Log.Warn("a client has its share of connections", "listen", d.String(), "client", household.String(), "open", held)
	}
	v.left() // first, so that who sees the end of it finds the room
	v.cut()
	return false
}

func (d *door) report() route.Listener {
	l := route.Listener{
		Listen: d.String(), Access: spec.Public, State: route.Open,
		Now: d.now.Load(), Total: d.total.Load(), Denied: d.denied.Load(),
		Crowded: d.crowded.Load(), Beyond: d.beyond.Load(), Failed: d.failed.Load(),
	}
	if d.near {
		l.Access = spec.Localhost
	}
	if !d.open() {
		l.State = route.Failed
		if d.why != nil {
			l.Says, l.Remedy = d.why.Error(), d.why.Remedy
		}
	}
	return l
}

// inlet hands the visitors of doors to an http.Server, which outlives doors.
type inlet struct {
	visitors chan net.Conn
	ctx      context.Context
	cancel   context.CancelFunc
}

func newInlet() *inlet {
	ctx, cancel := context.WithCancel(context.Background())
	return &inlet{make(chan net.Conn), ctx, cancel}
}

func (n *inlet) take(v net.Conn) {
	select {
	case n.visitors <- v:
	case <-n.ctx.Done():
		v.Close()
	}
}

// Accept gives the next visitor.
func (n *inlet) Accept() (net.Conn, error) {
	select {
	case v := <-n.visitors:
		return v, nil
	case <-n.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close turns away visitors from now on. It may be called twice.
func (n *inlet) Close() error {
	n.cancel()
	return nil
}

// Addr is no address: visitors came in by doors that have theirs.
func (n *inlet) Addr() net.Addr { return &net.TCPAddr{} }
