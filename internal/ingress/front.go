package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"havre/internal/http1"
	"havre/internal/problem"
	"havre/internal/relay"
	"havre/internal/route"
	"havre/internal/spec"
)

// front is a running ingress: what it follows and the doors it keeps open.
type front struct {
	set      Settings
	ctx      context.Context // of Run: connections live longer than the call that opened their door
	networks *Networks
	now      atomic.Pointer[view]
	plain    *inlet // where HTTP connections go in
	secure   *inlet // where HTTPS connections go in
	tls      *tls.Config
	quick    *http1.Server // has the connections of both first
	serving  sync.WaitGroup
	inside   sync.WaitGroup // visitors; those of upgraded connections no http.Server waits for
	guests   guests
	flows    flows
	legacy   *legacy       // the ingress that we took over from, if there was one
	mine     chan struct{} // closed when that one leaves datagrams to us
	left     chan struct{} // closed when another ingress took over from us
	over     chan struct{} // closed when that one ended us
	tallies  tallies
	relays   []*relay.Relay // none where there is no Settings.Ask
	turn     atomic.Uint32  // of them
	buffers  buffers
	visits   sync.Pool // of *visit
	press    *press
	proofs   atomic.Pointer[proofs]
	hashing  chan struct{} // taken by each check of a password

	mu      sync.Mutex // guards what follows, and makes one change at a time
	doors   map[key]*door
	gone    map[*backend]time.Time // containers that left, and when
	version uint64
	spoiled string // why the kept table is not followed
}

func newFront(ctx context.Context, set Settings) *front {
	f := &front{
		set:      set,
		ctx:      ctx,
		networks: &Networks{Local: set.Local, Engine: set.Engine, Interfaces: set.Interfaces},
		plain:    newInlet(),
		secure:   newInlet(),
		doors:    map[key]*door{},
		gone:     map[*backend]time.Time{},
		guests:   guests{count: map[string]int{}},
		flows:    newFlows(),
		mine:     make(chan struct{}),
		left:     make(chan struct{}),
		over:     make(chan struct{}),
		hashing:  make(chan struct{}, atOnce),
	}
	f.press = newPress(&f.buffers)
	f.proofs.Store(&proofs{})
	f.now.Store(newView(route.Table{}, nil, f))
	if set.Ask != nil {
		f.startRelays(max(1, runtime.GOMAXPROCS(0)/2))
	}
	return f
}

// startRelays has relays run until ctx ends. Where there are none, connections
// are passed all the same.
func (f *front) startRelays(many int) {
	for range many {
		r, err := relay.New()
		if err != nil {
			f.set.Log.Warn("no relay", "err", err)
			return
		}
		f.relays = append(f.relays, r)
		f.serving.Go(func() { r.Run(f.ctx) })
	}
}

// load follows the kept table. A table that cannot be read is left where it
// is: the server will put a new one, and until then nothing is better than a
// guess.
func (f *front) load() {
	t, err := load(f.set.TableFile)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.spoiled = err.Error()
		f.set.Log.Error("the kept table is not followed", "err", err)
	}
	f.follow(t)
}

// put keeps t, then follows it. One that cannot be kept is followed all the
// same: on a full disk a container that was replaced shall serve on, and nobody
// shall come in by a table that is no more. The server is told, and puts it
// again until it is kept.
// Errors: Unavailable when it is not kept.
func (f *front) put(t route.Table) (route.Applied, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.replaced() {
		return route.Applied{}, problem.New(problem.Unavailable, "another ingress took over").With("ask again")
	}
	err := save(f.set.TableFile, t.Encode())
	f.version++
	f.spoiled = ""
	f.follow(t)
	if err != nil {
		return route.Applied{}, problem.New(problem.Unavailable, "the ingress follows its table but cannot keep it").
			With("make room on its disk or mend it; havre doctor tells which").Because(err)
	}
	return route.Applied{Problems: f.problems()}, nil
}

// follow changes the view first and the doors after: whoever comes in while
// doors change is judged by the new table. Doors that go are closed before
// others open, because a port may only change who can reach it.
func (f *front) follow(t route.Table) {
	wanted := doorsOf(t)
	old := f.now.Load()
	f.now.Store(newView(t, old, f))
	f.now.Load().watch(old, f)
	for k, d := range f.doors {
		if !slices.Contains(wanted, k) {
			d.close()
			f.closeFlows(d)
			delete(f.doors, k)
			f.set.Log.Info("closed", "listen", k.String())
		}
	}
	for _, k := range wanted {
		if f.doors[k] == nil {
			f.doors[k] = f.newDoor(k)
		}
		f.try(f.doors[k])
	}
	f.dismiss(old)
	f.lookAfterFlows(time.Now())
}

// followView is for an ingress that has no doors any more.
func (f *front) followView(t route.Table) {
	old := f.now.Load()
	f.now.Store(newView(t, old, f))
	f.now.Load().watch(old, f)
	f.dismiss(old)
}

func (f *front) dismiss(old *view) {
	for _, b := range f.now.Load().dismiss(old) {
		f.gone[b] = time.Now()
	}
}

// lingering is how long containers that left are looked after.
const lingering = 10 * time.Second

// forget closes kept connections that are too old, and what came to lie idle
// at containers after they left: net/http keeps a connection again once a
// request was begun on its transport.
func (f *front) forget() {
	for _, b := range f.now.Load().backends {
		if w, ok := b.transport.(*wire); ok {
			w.sweep(time.Now())
		}
	}
	for b, since := range f.gone {
		b.transport.CloseIdleConnections()
		if time.Since(since) > lingering {
			delete(f.gone, b)
		}
	}
}

// retry tries the doors that are shut until ctx is done.
func (f *front) retry(ctx context.Context) {
	tick := time.NewTicker(f.set.Retry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.left:
			return
		case <-tick.C:
			f.mu.Lock()
			for _, d := range f.doors {
				f.try(d)
			}
			f.forget()
			f.lookAfterFlows(time.Now())
			f.mu.Unlock()
		}
	}
}

// try opens d unless it is open. It logs what is new, so that a port which is
// taken for a day is one line and not 43200.
func (f *front) try(d *door) {
	if d.open() || f.ctx.Err() != nil {
		return
	}
	why := f.openDoor(d)
	switch {
	case why == nil:
		f.set.Log.Info("listening", "listen", d.String())
	case d.why == nil || d.why.Says != why.Says:
		f.set.Log.Warn("not listening", "listen", d.String(), "says", why.Says)
	}
	d.why = why
}

// close shuts all doors and waits for the TCP connections, which ctx has ended.
func (f *front) close() {
	f.mu.Lock()
	for _, d := range f.doors {
		d.close()
	}
	f.mu.Unlock()
	f.closeFlows(nil)
	f.serving.Wait()
	f.now.Load().dismiss(nil)
}

// doorsOf lists the doors that a table needs, in the order of their ports. A
// TCP route that asks for the HTTP or HTTPS port gets it: it was named, the
// other is a default; shadowed then says so.
func doorsOf(t route.Table) []key {
	t = t.Canonical()
	var keys []key
	for _, r := range t.TCP {
		keys = append(keys, key{r.Listen, tcpDoor, r.Access == spec.Localhost})
	}
	for _, r := range t.UDP {
		keys = append(keys, key{r.Listen, udpDoor, r.Access == spec.Localhost})
	}
	if len(t.HTTP)+len(t.Pass) > 0 {
		near := !slices.ContainsFunc(t.HTTP, func(r route.HTTP) bool { return r.Access != spec.Localhost }) &&
			!slices.ContainsFunc(t.Pass, func(r route.Pass) bool { return r.Access != spec.Localhost })
		for _, k := range []key{{t.HTTPPort, httpDoor, near}, {t.HTTPSPort, httpsDoor, near}} {
			if k.kind == httpDoor && len(t.HTTP) == 0 {
				continue // nothing is said there
			}
			if !slices.ContainsFunc(t.TCP, func(r route.TCP) bool { return r.Listen == k.port }) {
				keys = append(keys, k)
			}
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return int(a.port) - int(b.port) })
	return keys
}

// shadowed lists the problems of HTTP doors whose port a TCP route has.
func shadowed(t route.Table) []route.Problem {
	t = t.Canonical()
	var found []route.Problem
	for _, r := range t.TCP {
		if len(t.HTTP)+len(t.Pass) == 0 || r.Listen != t.HTTPPort && r.Listen != t.HTTPSPort {
			continue
		}
		kind := httpDoor
		if r.Listen == t.HTTPSPort {
			kind = httpsDoor
		}
		found = append(found, route.Problem{
			Listen: key{port: r.Listen, kind: kind}.String(),
			Says:   fmt.Sprintf("port %d is a tcp port of %s, so no host name is served on it", r.Listen, r.Service),
			Remedy: "give that service another outside port, or a domain in place of the port",
		})
	}
	return found
}

// problems lists the doors that are wanted and shut.
func (f *front) problems() []route.Problem {
	found := []route.Problem{}
	for _, l := range f.listeners() {
		if l.State == route.Failed {
			found = append(found, route.Problem{Listen: l.Listen, Service: l.Service, Says: l.Says, Remedy: l.Remedy})
		}
	}
	return found
}

func (f *front) listeners() []route.Listener {
	v := f.now.Load()
	all := []route.Listener{}
	for _, k := range doorsOf(v.table) {
		d := f.doors[k]
		l := d.report()
		if w := v.tcp[k.port]; k.kind == tcpDoor && w != nil {
			l.Service, l.Access = w.service, w.access
		}
		if w := v.udp[k.port]; k.kind == udpDoor && w != nil {
			l.Service, l.Access = w.service, w.access
		}
		all = append(all, l)
	}
	for _, p := range shadowed(v.table) {
		all = append(all, route.Listener{Listen: p.Listen, State: route.Failed, Says: p.Says, Remedy: p.Remedy})
	}
	return all
}

func (f *front) status() route.Status {
	open := f.opened()
	f.mu.Lock()
	defer f.mu.Unlock()
	return route.Status{
		Version:   f.version,
		Digest:    f.now.Load().digest(),
		Problem:   f.spoiled,
		Listeners: f.listeners(),
		Open:      open,
		Sick:      f.now.Load().sick(),
	}
}

func load(file string) (route.Table, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return route.Table{}, err
	}
	t, err := route.Parse(b)
	if err != nil {
		return route.Table{}, problem.New(problem.Invalid, "read %s", file).Because(err)
	}
	return t, nil
}

// save replaces file by b so that after a crash at any point, of the machine
// too, there is the old table or the new one. When save returns nil it is the
// new one. Only one save may run at a time.
func save(file string, b []byte) error {
	next := file + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // it holds the certificates' keys
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(next) // half a file takes room that is lacking already
		return err
	}
	if err := os.Rename(next, file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
