package ingress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"havre/internal/route"
	"havre/internal/spec"
)

// view is a table made ready for looking things up. It never changes; another
// table is another view.
type view struct {
	table    route.Table
	tcp      map[uint16]*way
	udp      map[uint16]*way
	http     map[string]*way
	pass     map[string]*way             // by server name: TLS that is not ours
	certs    map[string]*tls.Certificate // by host
	backends map[route.Target]*backend   // those of http
	led      map[string]bool             // containers that a route leads to
}

// way leads to the containers of one route.
type way struct {
	service  string
	access   spec.Access
	backends []*backend
	turn     atomic.Uint32
}

// inTurn lists the containers, each time beginning with the next one.
func (w *way) inTurn() []*backend {
	n := len(w.backends)
	if n < 2 {
		return w.backends
	}
	first := int((w.turn.Add(1) - 1) % uint32(n))
	return append(append(make([]*backend, 0, n), w.backends[first:]...), w.backends[:first]...)
}

// backend is one container's port. Its transport keeps HTTP connections to
// that container alive; being the container's own, none can ever be used for
// another one that got its address.
type backend struct {
	target    route.Target
	transport *http.Transport // nil for TCP routes
}

type dialFunc func(context.Context, route.Target) (*guest, error)

// newView prepares t, which is valid. Backends that old has are taken over
// with their connections.
func newView(t route.Table, old *view, dial dialFunc) *view {
	t = t.Canonical()
	v := &view{
		table:    t,
		tcp:      map[uint16]*way{},
		udp:      map[uint16]*way{},
		http:     map[string]*way{},
		pass:     map[string]*way{},
		certs:    map[string]*tls.Certificate{},
		backends: map[route.Target]*backend{},
		led:      map[string]bool{},
	}
	for _, r := range t.TCP {
		v.tcp[r.Listen] = plainWay(r)
	}
	for _, r := range t.UDP {
		v.udp[r.Listen] = plainWay(route.TCP(r))
	}
	for _, r := range t.Pass {
		v.pass[r.Host] = plainWay(route.TCP{Access: r.Access, Service: r.Service, Targets: r.Targets})
	}
	for c := range t.Containers() {
		v.led[c] = true
	}
	for _, r := range t.HTTP {
		w := &way{service: r.Service, access: r.Access}
		for _, target := range r.Targets {
			w.backends = append(w.backends, v.backend(target, old, dial))
		}
		v.http[r.Host] = w
	}
	v.certify(t.Certificates)
	return v
}

// plainWay leads to containers whose connections are not kept.
func plainWay(r route.TCP) *way {
	w := &way{service: r.Service, access: r.Access}
	for _, target := range r.Targets {
		w.backends = append(w.backends, &backend{target: target})
	}
	return w
}

func (v *view) backend(t route.Target, old *view, dial dialFunc) *backend {
	b := v.backends[t]
	if b == nil && old != nil {
		b = old.backends[t]
	}
	if b == nil {
		b = &backend{target: t, transport: newTransport(t, dial)}
	}
	v.backends[t] = b
	return b
}

func (v *view) certify(certificates []route.Certificate) {
	for _, c := range certificates {
		pair, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key))
		if err != nil { // route.Parse has made sure
			continue
		}
		for _, h := range c.Hosts {
			v.certs[h] = &pair
		}
	}
}

// covered tells whether a TLS connection made for one name may be used for
// another: only where one certificate proves both.
func (v *view) covered(host, name string) bool {
	c := v.certs[host]
	return c != nil && c == v.certs[name]
}

// dismiss lets go of the connections to containers that only old has; of
// v's own when old is nil. Requests under way finish. It returns what it let go
// of: a request that chose its container just before may still leave its
// connection there.
func (v *view) dismiss(old *view) []*backend {
	if old == nil {
		old, v = v, &view{}
	}
	var gone []*backend
	for t, b := range old.backends {
		if v.backends[t] == nil {
			b.transport.CloseIdleConnections()
			gone = append(gone, b)
		}
	}
	return gone
}

// unreached wraps the error of a dial: nothing of the request was sent.
type unreached struct{ error }

func newTransport(t route.Target, dial dialFunc) *http.Transport {
	kept := &http.Transport{
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // bodies pass as they are
	}
	kept.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := dial(ctx, t)
		if moved(err) {
			kept.CloseIdleConnections() // a transport that is asked for a connection begins to keep them again
		}
		if err != nil {
			return nil, unreached{err}
		}
		return c, nil
	}
	return kept
}
