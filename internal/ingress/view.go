package ingress

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"

	"havre/internal/route"
	"havre/internal/spec"
)

// view is a table made ready for looking things up. It never changes; another
// table is another view.
type view struct {
	table    route.Table
	digest   func() string // table's
	tcp      map[uint16]*way
	udp      map[uint16]*way
	pass     map[string]*way             // by server name: TLS that is not ours
	http     map[string][]*way           // by host, the longest path first; a wildcard under what follows its star
	certs    map[string]*tls.Certificate // by host, in the same way
	backends map[place]*backend
	led      map[string]bool // containers that a route leads to
	limits   map[string]*limiter
	users    map[string]*users
}

// newView prepares t, which is valid. What old has of it is taken over:
// backends with their connections, limiters with what they counted.
func newView(t route.Table, old *view, f *front) *view {
	t = t.Canonical()
	v := &view{
		table:    t,
		digest:   sync.OnceValue(t.Digest),
		tcp:      map[uint16]*way{},
		udp:      map[uint16]*way{},
		pass:     map[string]*way{},
		http:     map[string][]*way{},
		certs:    map[string]*tls.Certificate{},
		backends: map[place]*backend{},
		led:      map[string]bool{},
		limits:   map[string]*limiter{},
		users:    map[string]*users{},
	}
	m := maker{v, old, f}
	for _, r := range t.TCP {
		v.tcp[r.Listen] = m.plain(r)
	}
	for _, r := range t.UDP {
		v.udp[r.Listen] = m.plain(route.TCP(r))
	}
	for _, r := range t.Pass {
		w := m.plain(route.TCP{Access: r.Access, Service: r.Service, Proxy: r.Proxy, Rate: r.Rate, Sticky: r.Sticky, Targets: r.Targets})
		w.stopped = r.Stopped
		v.pass[strings.TrimPrefix(r.Host, "*")] = w
	}
	for _, r := range t.HTTP {
		w := m.way(r.Service, r.Access, r.Front, r.Targets)
		w.path, w.stopped = r.Path, r.Stopped
		host := strings.TrimPrefix(r.Host, "*")
		v.http[host] = append(v.http[host], w)
	}
	for _, ways := range v.http {
		slices.SortStableFunc(ways, func(a, b *way) int { return len(b.path) - len(a.path) })
	}
	v.certify(t.Certificates)
	return v
}

// maker makes the ways of a view.
type maker struct {
	*view
	old   *view // nil for the first
	front *front
}

// plain leads to containers by bytes as they are.
func (m maker) plain(r route.TCP) *way {
	return m.way(r.Service, r.Access, spec.Front{Proxy: r.Proxy, Rate: r.Rate, Sticky: r.Sticky}, r.Targets)
}

func (m maker) way(service string, access spec.Access, front spec.Front, targets []route.Target) *way {
	w := &way{service: service, front: front, name: cookieName(service)}
	w.gate = gate{networks: m.front.networks, access: access}
	if front.Rate != (spec.Rate{}) {
		w.limit = keep(m.limits, m.before().limits, fmt.Sprint(service, front.Rate), func() *limiter { return newLimiter(front.Rate) })
	}
	if len(front.Users) > 0 {
		w.users = keep(m.view.users, m.before().users, service+strings.Join(front.Users, "\n"), func() *users { return newUsers(front.Users, m.front.hashing) })
	}
	how := manner{front.Scheme, front.Proxy, front.Check}
	for _, t := range targets {
		at := place{t, how}
		w.backends = append(w.backends, keep(m.backends, m.before().backends, at, func() *backend { return newBackend(at, m.front) }))
		m.led[t.Container] = true
	}
	return w
}

func (m maker) before() *view {
	if m.old == nil {
		return &view{}
	}
	return m.old
}

// keep finds what has a key in now, else in before, else makes it.
func keep[K comparable, V any](now, before map[K]V, key K, make func() V) V {
	found, ok := now[key]
	if !ok {
		if found, ok = before[key]; !ok {
			found = make()
		}
		now[key] = found
	}
	return found
}

// ways are those of a host, or of the wildcard that stands for it: its star is
// one label, as in certificates, and holds nothing that would be more in a link
// that an app makes of its host.
func (v *view) ways(host string) []*way { return lookup(v.http, host) }

// certificate is the one for a host.
func (v *view) certificate(host string) *tls.Certificate { return lookup(v.certs, host) }

func lookup[V any](from map[string]V, host string) (found V) {
	if found, ok := from[host]; ok {
		return found
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 && plainHost(host[:dot]) {
		found = from[host[dot:]]
	}
	return found
}

func (v *view) certify(certificates []route.Certificate) {
	for _, c := range certificates {
		pair, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key))
		if err != nil { // route.Parse has made sure
			continue
		}
		for _, h := range c.Hosts {
			v.certs[strings.TrimPrefix(h, "*")] = &pair
		}
	}
}

// covered tells whether a TLS connection made for one name may be used for
// another: only where one certificate proves both.
func (v *view) covered(host, name string) bool {
	c := v.certificate(host)
	return c != nil && c == v.certificate(name)
}

// watch starts the checks of the containers that old does not have.
func (v *view) watch(old *view, f *front) {
	for at, b := range v.backends {
		if at.how.check.Path == "" || old.backends[at] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(f.ctx)
		b.dismiss = cancel
		f.serving.Go(func() { b.watch(ctx) })
	}
}

// sick are the containers to which nobody is sent, by their ids, and why.
func (v *view) sick() map[string]string {
	all := map[string]string{}
	for at, b := range v.backends {
		if says := b.ails.Load(); says != nil && b.sick.Load() {
			all[at.target.Container] = max(all[at.target.Container], *says) // any, but always the same
		}
	}
	return all
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
	for at, b := range old.backends {
		if v.backends[at] == nil {
			if b.dismiss != nil {
				b.dismiss()
			}
			if w, ok := b.transport.(*wire); ok {
				w.retire()
			}
			b.transport.CloseIdleConnections()
			gone = append(gone, b)
		}
	}
	return gone
}
