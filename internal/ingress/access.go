package ingress

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

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
	return false
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
	known, err := n.interfaces()
	if err != nil {
		return false
	}
	for _, i := range known {
		if engineInterface.MatchString(i.Name) && i.reaches(client) {
			return false
		}
	}
	client = client.WithZone("")
	return !within(n.Engine, client) && within(n.Local, client)
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
