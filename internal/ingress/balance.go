package ingress

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/spec"
)

// How long a replica that could not be connected to is asked last: longer each
// time, until it takes a connection.
const (
	outFirst = time.Second
	outMost  = 30 * time.Second
)

// kept is a transport whose connections are one container's alone.
type kept interface {
	http.RoundTripper
	CloseIdleConnections()
}

// backend is one container's port: how it is spoken to and how it fares.
// Its transport being the container's own, no connection can ever be used for
// another one that got its address.
type backend struct {
	target    route.Target
	how       manner
	transport kept
	cookie    string // tells it to clients that come back; its id stays here

	busy    atomic.Int64           // requests and connections
	misses  atomic.Int32           // connections in a row that failed
	out     atomic.Int64           // until when it is asked last, in Unix nanoseconds
	sick    atomic.Bool            // its check says so
	ails    atomic.Pointer[string] // what its last bad check found
	dismiss context.CancelFunc
}

// manner is how a route speaks to its containers. Routes that speak alike
// share a container's connections.
type manner struct {
	scheme spec.Scheme
	proxy  spec.Proxy
	check  spec.Check
}

// place is a container's port spoken to in one manner.
type place struct {
	target route.Target
	how    manner
}

func newBackend(at place, f *front) *backend {
	b := &backend{target: at.target, how: at.how}
	sum := sha256.Sum256([]byte("sticky" + at.target.Container)) // ids are secret enough to be no guess
	b.cookie = hex.EncodeToString(sum[:8])
	dial := func(ctx context.Context) (*guest, error) { return f.enter(ctx, at.target) }
	if at.how.scheme == spec.H2C {
		b.transport = newH2C(dial)
	} else {
		b.transport = &wire{dial: dial, lent: &f.buffers, greet: at.how.proxy != ""}
	}
	return b
}

// newH2C speaks HTTP/2 without TLS. Of a request that was sent it sends
// another only where the container said that it did not begin with it (RFC
// 9113, 8.7).
func newH2C(dial func(context.Context) (*guest, error)) kept {
	t := &http.Transport{IdleConnTimeout: keptFor, DisableCompression: true, Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := dial(ctx)
		if moved(err) {
			t.CloseIdleConnections() // a transport that is asked for a connection begins to keep them again
		}
		if err != nil {
			return nil, unreached{err}
		}
		return c, nil
	}
	return h2c{t}
}

// h2c is that transport, which also brings early answers.
type h2c struct{ *http.Transport }

// early is what came before an answer.
type early struct {
	status int
	header http.Header
}

// RoundTrip sends r. Early answers come to goroutines of the transport that
// all requests of a connection share, and are passed on by this one: there a
// panic would be everybody's end, and a slow client everybody's delay. net/http
// bounds neither their kind nor their number, nor the statuses of late ones.
func (t h2c) RoundTrip(r *http.Request) (*http.Response, error) {
	came, count := make(chan early, maxEarlyAnswers), atomic.Int32{}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		if status == http.StatusSwitchingProtocols || count.Add(1) > maxEarlyAnswers {
			return errEarly
		}
		came <- early{status, http.Header(h)} // it has room
		return nil
	}}
	if _, named := r.Header["User-Agent"]; !named {
		r.Header["User-Agent"] = []string{""} // net/http would give its own name
	}
	var answer *http.Response
	var err error
	done := make(chan struct{})
	go func() { // it ends with r's context
		defer close(done)
		answer, err = t.Transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	}()
	for v := visitOf(r); ; {
		select {
		case e := <-came:
			v.early(e.status, e.header)
			continue
		case <-done:
		}
		for len(came) > 0 {
			e := <-came
			v.early(e.status, e.header)
		}
		break
	}
	if err == nil && (answer.StatusCode < 200 || answer.StatusCode > 999) {
		answer.Body.Close()
		return nil, errStatus
	}
	return answer, err
}

// fared notes whether b took a connection.
func (b *backend) fared(well bool) {
	if well {
		if b.misses.Load() != 0 {
			b.misses.Store(0)
			b.out.Store(0)
		}
		return
	}
	n := min(b.misses.Add(1), 6)
	b.out.Store(time.Now().Add(min(outFirst<<(n-1), outMost)).UnixNano())
}

// counted counts a connection or flow to b until it leaves.
func (b *backend) counted(leave func()) func() {
	b.busy.Add(1)
	return sync.OnceFunc(func() {
		b.busy.Add(-1)
		leave()
	})
}

// welcome counts a TCP connection to b, and tells it whose it is where it
// wants to know.
func (b *backend) welcome(c *guest, v *visitor) (*guest, error) {
	c.leave = b.counted(c.leave)
	if b.how.proxy == "" {
		return c, nil
	}
	if err := c.greet(greeting(addrPort(v.RemoteAddr()), addrPort(v.LocalAddr()))); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// way leads to the containers of one route.
type way struct {
	gate
	service  string
	path     string
	stopped  bool // nobody waits for a container
	front    spec.Front
	name     string // of the cookie
	backends []*backend
	turn     atomic.Uint32
}

// errNoTarget is for a service without a container that is well.
var errNoTarget = problem.New(problem.Unavailable, "no container of the service is ready")

// choice lists the containers in the order in which to ask: those with the
// fewest requests and connections first, among equals the next in turn; those
// that could not be connected to a moment ago last; those whose check says
// that they are sick not at all. Where the client is to come back to the same
// one, that one is first while it is well.
func (w *way) choice(cookie string, client netip.Addr) []*backend {
	n := len(w.backends)
	if n == 0 || n == 1 && !w.backends[0].sick.Load() {
		return w.backends
	}
	type state struct {
		b    *backend
		rank int
		busy int64
	}
	now, first := time.Now().UnixNano(), int(w.turn.Add(1)-1)%n
	favourite := w.favourite(cookie, client)
	var states []state
	for i := range n {
		b := w.backends[(first+i)%n]
		if b.sick.Load() {
			continue
		}
		s := state{b, 1, b.busy.Load()}
		switch {
		case b.out.Load() > now:
			s.rank = 2
		case b == favourite:
			s.rank = 0
		}
		states = append(states, s)
	}
	slices.SortStableFunc(states, func(a, b state) int { return cmp.Or(a.rank-b.rank, cmp.Compare(a.busy, b.busy)) })
	list := make([]*backend, len(states))
	for i, s := range states {
		list[i] = s.b
	}
	return list
}

// favourite is the one to which a client comes back. By address it is the one
// with the highest sum of both: when one goes, only its own clients move.
func (w *way) favourite(cookie string, client netip.Addr) *backend {
	var found *backend
	var highest uint64
	for _, b := range w.backends {
		switch {
		case w.front.Sticky == spec.ByCookie && cookie != "" && b.cookie == cookie:
			return b
		case w.front.Sticky == spec.ByAddress && !b.sick.Load():
			sum := sha256.Sum256([]byte(b.cookie + client.String()))
			if weight := binary.BigEndian.Uint64(sum[:]); found == nil || weight > highest {
				found, highest = b, weight
			}
		}
	}
	return found
}

// inTurn lists the containers for a connection of client.
func (w *way) inTurn(client netip.Addr) []*backend { return w.choice("", client) }

// cookieName is the name of a service's cookie; people's names stay here.
func cookieName(service string) string {
	sum := sha256.Sum256([]byte(service))
	return "havre-" + hex.EncodeToString(sum[:4])
}

// Of checks that say nothing, and how many bad ones it takes.
const (
	checkEvery   = 10 * time.Second
	checkTimeout = 2 * time.Second
	badInARow    = 2
	maxChecked   = 64 << 10 // of an answer that nobody wants
)

// watch asks b's check until ctx is done.
func (b *backend) watch(ctx context.Context) {
	c := b.how.check
	tick := time.NewTicker(cmp.Or(c.Every, spec.Duration(checkEvery)).Std())
	defer tick.Stop()
	for bad := 0; ; {
		says := b.ailment(ctx)
		if bad++; says == "" {
			bad = 0
		}
		if ctx.Err() != nil {
			return
		}
		b.ails.Store(&says)
		b.sick.Store(bad >= badInARow)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ailment asks once, and says what is wrong; "" is nothing.
func (b *backend) ailment(ctx context.Context) string {
	patience := cmp.Or(b.how.check.Timeout, spec.Duration(checkTimeout)).Std()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u, err := url.ParseRequestURI(b.how.check.Path)
	if err != nil {
		return "its path cannot be asked for"
	}
	u.Scheme, u.Host = "http", "container"
	r := (&http.Request{Method: http.MethodGet, URL: u, Host: "localhost", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"Havre"}}}).WithContext(context.WithValue(ctx, visitKey{}, &visit{began: time.Now()}))
	answer, err := b.transport.RoundTrip(r)
	switch {
	case ctx.Err() != nil:
		return fmt.Sprintf("GET %s is not answered within %s", b.how.check.Path, patience)
	case err != nil:
		return fmt.Sprintf("GET %s is not answered: %v", b.how.check.Path, err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxChecked)) // read whole, its connection is kept
	if answer.StatusCode >= 400 {
		return strings.TrimSpace(fmt.Sprintf("GET %s is answered with %d %s", b.how.check.Path, answer.StatusCode, http.StatusText(answer.StatusCode)))
	}
	return ""
}
