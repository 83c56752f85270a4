package project

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"havre/internal/problem"
)

// SubnetBits is the size of a project's network: 254 containers.
const SubnetBits = 24

// Subnet is the first subnet of pool that overlaps none of used, looking from
// an address of pool on and round again: a swarm is slow to give the addresses
// of a removed network back, so the next project had better not ask for them.
// Errors: Conflict, when pool is used up.
func Subnet(pool netip.Prefix, used []netip.Prefix, from netip.Addr) (netip.Prefix, error) {
	for _, first := range []netip.Addr{from, pool.Masked().Addr()} {
		for at := netip.PrefixFrom(first, SubnetBits).Masked(); pool.Contains(at.Addr()); at = after(at) {
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
	n += 1 << (32 - SubnetBits)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), SubnetBits)
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
