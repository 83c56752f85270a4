package project

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"

	"havre/internal/problem"
	"havre/internal/service"
)

// SubnetBits is the size of a project's network: 253 containers. LinkBits is
// that of a link's, which has two ends: 61.
const (
	SubnetBits = 24
	LinkBits   = 26
)

// Addresses is where networks find their addresses. All that gives a network
// addresses shares one of it.
type Addresses struct {
	Pool   netip.Prefix
	Routes func() ([]netip.Prefix, error) // of the machine

	// Mutex is held from the look at what is taken until what was given is
	// remembered: for networks, and for ports and names.
	sync.Mutex
}

// Unused is a subnet of so many bits that nobody has: no project, no link, nor
// a network that is about to go. Links' are taken from the last quarter of the
// pool first, so that they leave whole places for projects.
// Errors: Conflict, when the pool is used up.
func (s *Addresses) Unused(records []Record, snap service.Snapshot, bits int) (string, error) {
	used, err := s.Routes()
	if err != nil {
		return "", err
	}
	var texts []string
	for _, r := range records {
		texts = append(texts, r.Subnet)
		for _, l := range r.Links {
			texts = append(texts, l.Subnet)
		}
	}
	for _, n := range append(slices.Clone(snap.Networks), snap.Links...) {
		texts = append(texts, n.Subnet)
	}
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil {
			used = append(used, p)
		}
	}
	from := anywhere(s.Pool)
	if bits == LinkBits && s.Pool.Bits()+2 < LinkBits {
		from = anywhere(lastQuarter(s.Pool))
	}
	subnet, err := Subnet(s.Pool, used, from, bits)
	return subnet.String(), err
}

func lastQuarter(pool netip.Prefix) netip.Prefix {
	a := pool.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(a[:]) | 3<<(32-pool.Bits()-2)
	binary.BigEndian.PutUint32(a[:], n)
	return netip.PrefixFrom(netip.AddrFrom4(a), pool.Bits()+2)
}

// Subnet is the first subnet of so many bits of pool that overlaps none of used, looking from
// an address of pool on and round again: a swarm is slow to give the addresses
// of a removed network back, so the next project had better not ask for them.
// Errors: Conflict, when pool is used up.
func Subnet(pool netip.Prefix, used []netip.Prefix, from netip.Addr, bits int) (netip.Prefix, error) {
	for _, first := range []netip.Addr{from, pool.Masked().Addr()} {
		for at := netip.PrefixFrom(first, bits).Masked(); pool.Contains(at.Addr()); at = after(at) {
			if !overlaps(at, used) {
				return at, nil
			}
		}
	}
	return netip.Prefix{}, problem.New(problem.Conflict, "no network is free in the pool %s", pool).
		With("remove projects that are not needed, or choose a larger pool in the guard's bounds")
}

func after(p netip.Prefix) netip.Prefix {
	a := p.Addr().As4()
	n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	n += 1 << (32 - p.Bits())
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), p.Bits())
}

// anywhere is a random address of an IPv4 pool.
func anywhere(pool netip.Prefix) netip.Addr {
	a := pool.Masked().Addr().As4()
	var r [4]byte
	_, _ = rand.Read(r[:]) // never fails since Go 1.24
	n := binary.BigEndian.Uint32(a[:]) | binary.BigEndian.Uint32(r[:])&(1<<(32-pool.Bits())-1)
	binary.BigEndian.PutUint32(a[:], n)
	return netip.AddrFrom4(a)
}

func overlaps(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if p.Overlaps(u) {
			return true
		}
	}
	return false
}
