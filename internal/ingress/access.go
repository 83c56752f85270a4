package ingress

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"havre/internal/spec"
)

// Interface is a network interface of the machine.
type Interface struct {
	Name     string
	Prefixes []netip.Prefix // its own addresses, each with the length of its network
}

// LocalNetworks is what private access lets in unless it is told otherwise:
// the private ranges of IPv4, unique local IPv6, link-local. Shared address
// space (100.64.0.0/10) is not among them: behind a provider's NAT its other
// customers live there. Who has a VPN in it adds it.
func LocalNetworks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),     // RFC 1918
		netip.MustParsePrefix("172.16.0.0/12"),  // RFC 1918
		netip.MustParsePrefix("192.168.0.0/16"), // RFC 1918
		netip.MustParsePrefix("169.254.0.0/16"), // RFC 3927
		netip.MustParsePrefix("fc00::/7"),       // RFC 4193
		netip.MustParsePrefix("fe80::/10"),      // RFC 4291
	}
}

// verdict is what a gate says.
type verdict int

const (
	admitted verdict = iota
	denied           // from there nobody may come in
	tooOften         // it came too often
)

// gate is the one place that decides who comes in to a service: by HTTP, TCP
// and UDP alike.
type gate struct {
	networks *Networks
	access   spec.Access
	limit    *limiter // nil is no limit
	users    *users   // of HTTP; nil asks for no password
}

// lets tells whether a client at this address may be in at all.
func (g *gate) lets(client netip.Addr) bool { return g.networks.Allow(g.access, client) }

// admit judges a new connection, a flow or a request by its client's address,
// and counts it. It is asked once for each.
func (g *gate) admit(client netip.Addr) verdict {
	switch {
	case !g.lets(client):
		return denied
	case !g.limit.allow(client):
		return tooOften
	}
	return admitted
}

// Networks knows what is near. It may be used by many at once.
type Networks struct {
	Local      []netip.Prefix // what private access lets in
	Engine     []netip.Prefix // containers' networks that no interface shows
	Interfaces func() ([]Interface, error)

	mu    sync.Mutex // guards what follows
	at    time.Time
	known []Interface
}

// engineInterface matches the bridges that the engine makes, and the ends of
// containers' own links. A bridge that was given a name by hand is not known
// here; its network belongs into Engine.
var engineInterface = regexp.MustCompile(`^(docker0|docker_gwbridge|br-[0-9a-f]{12}|veth.*)$`)

// Allow tells whether a client at this address may come in. An unknown access
// lets nobody in, and private access no stranger while the machine's
// interfaces cannot be read.
func (n *Networks) Allow(access spec.Access, client netip.Addr) bool {
	switch access {
	case spec.Public:
		return client.IsValid()
	case spec.Private:
		return n.here(client) || n.local(client)
	case spec.Localhost:
		return n.here(client)
	}
	listed, ok := access.Networks()
	return ok && n.lists(listed, client)
}

// lists tells whether client is in one of the networks, and no container: a
// list never means the engine's own.
func (n *Networks) lists(listed []netip.Prefix, client netip.Addr) bool {
	client = client.Unmap()
	return within(listed, client.WithZone("")) && (n.here(client) || n.outside(client))
}

// here tells whether client is this machine itself, by loopback or by one of
// its own addresses: nobody else can hold a TCP connection from those.
func (n *Networks) here(client netip.Addr) bool {
	client = client.Unmap()
	if client.IsLoopback() {
		return true
	}
	known, _ := n.interfaces()
	return slices.ContainsFunc(known, func(i Interface) bool {
		if client.Zone() != "" && client.Zone() != i.Name {
			return false
		}
		return slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr() == client.WithZone("") })
	})
}

func (n *Networks) local(client netip.Addr) bool {
	client = client.Unmap()
	return within(n.Local, client.WithZone("")) && n.outside(client)
}

// outside tells whether client is surely on none of the engine's networks.
func (n *Networks) outside(client netip.Addr) bool {
	known, err := n.interfaces()
	if err != nil {
		return false
	}
	for _, i := range known {
		if engineInterface.MatchString(i.Name) && i.reaches(client) {
			return false
		}
	}
	return !within(n.Engine, client.WithZone(""))
}

// reaches tells whether client is on i's network. Link-local networks are the
// same on every interface; there only the zone tells them apart.
func (i Interface) reaches(client netip.Addr) bool {
	if client.IsLinkLocalUnicast() && client.Zone() != "" {
		return client.Zone() == i.Name
	}
	return within(i.Prefixes, client.WithZone(""))
}

func within(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// interfaces asks once a second at most: a flood of connections must not
// become a flood of questions, and no container is up within the second in
// which its network is made.
func (n *Networks) interfaces() ([]Interface, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known != nil && time.Since(n.at) < time.Second {
		return n.known, nil
	}
	known, err := n.Interfaces()
	if err != nil {
		return nil, err
	}
	n.known, n.at = known, time.Now()
	return known, nil
}

// Machine gives the machine's interfaces as they are now.
func Machine() ([]Interface, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []Interface
	for _, l := range links {
		addresses, err := l.Addrs()
		if err != nil {
			return nil, err
		}
		i := Interface{Name: l.Name}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				i.Prefixes = append(i.Prefixes, p)
			}
		}
		all = append(all, i)
	}
	return all, nil
}

// householdOf is what counts as one client: an IPv4 address; of IPv6 a /64, for
// whoever has one address there has them all. It is zero for who has none.
func householdOf(client netip.Addr) netip.Prefix {
	bits := 32
	if client = client.Unmap().WithZone(""); client.Is6() {
		bits = 64
	}
	household, _ := client.Prefix(bits)
	return household
}

// shares counts a door's connections by client, so that no client fills it.
// One may hold as many as are free besides: alone half of all, and whatever k
// of them take, 1/(k+1) is left. Who holds none needs a single free place, and
// has no entry here. The zero value counts nothing yet; it may be used by many
// at once.
type shares struct {
	mu   sync.Mutex // guards what follows
	held map[netip.Prefix]int64
	told time.Time // when it was last said that somebody has his share
}

// take counts one more of client's while free others find room, and tells how
// many it holds. Otherwise tell says, once a minute, that it is worth a line in
// the log.
func (s *shares) take(client netip.Prefix, free int64) (held int64, ok, tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held = s.held[client]; held > free {
		now := time.Now()
		if tell = now.Sub(s.told) >= time.Minute; tell {
			s.told = now
		}
		return held, false, tell
	}
	if s.held == nil {
		s.held = map[netip.Prefix]int64{}
	}
	s.held[client] = held + 1
	return held + 1, true, false
}

// give takes one back that was counted.
func (s *shares) give(client netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[client]--; s.held[client] == 0 {
		delete(s.held, client)
	}
}

// maxClients is how many clients' addresses a limiter remembers at once. Those
// beyond share one allowance: a flood from everywhere costs no memory.
const maxClients = 8192

// limiter bounds how often each client address may do something. The zero
// pointer bounds nothing. It may be used by many at once.
type limiter struct {
	every rate.Limit
	burst int

	mu      sync.Mutex // guards what follows
	clients map[netip.Prefix]*rate.Limiter
	rest    *rate.Limiter
	swept   time.Time
}

func newLimiter(r spec.Rate) *limiter {
	if r.Events == 0 {
		return nil
	}
	l := &limiter{every: rate.Limit(float64(r.Events) / r.Per.Std().Seconds()), burst: r.Burst, clients: map[netip.Prefix]*rate.Limiter{}}
	if l.burst == 0 {
		l.burst = r.Events
	}
	l.rest = rate.NewLimiter(l.every, l.burst)
	return l
}

// allow takes one from client's allowance, if there is one left.
func (l *limiter) allow(client netip.Addr) bool {
	if l == nil {
		return true
	}
	return l.of(client).Allow()
}

// empty tells whether nothing is left for client, and takes nothing.
func (l *limiter) empty(client netip.Addr) bool { return l.of(client).Tokens() < 1 }

// next is how long it takes until something is left for client, at least a second.
func (l *limiter) next(client netip.Addr) time.Duration {
	missing := 1 - l.of(client).Tokens()
	return max(time.Duration(missing/float64(l.every)*float64(time.Second)), time.Second)
}

// of finds client's allowance.
func (l *limiter) of(client netip.Addr) *rate.Limiter {
	key := householdOf(client)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.clients[key]; known != nil {
		return known
	}
	if len(l.clients) >= maxClients {
		l.sweep(time.Now())
	}
	if len(l.clients) >= maxClients {
		return l.rest
	}
	fresh := rate.NewLimiter(l.every, l.burst)
	l.clients[key] = fresh
	return fresh
}

// sweep forgets those whose allowance is whole again, once a second at most:
// they are as good as new.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for key, c := range l.clients {
		if c.TokensAt(now) >= float64(l.burst) {
			delete(l.clients, key)
		}
	}
}
