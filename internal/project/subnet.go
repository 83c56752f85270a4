package project

import (
	"net/netip"

	"havre/internal/problem"
)

// SubnetBits is the size of a project's network: 254 containers.
const SubnetBits = 24

// Subnet is the first subnet of pool that overlaps none of used.
// Errors: Conflict, when pool is used up.
func Subnet(pool netip.Prefix, used []netip.Prefix) (netip.Prefix, error) {
	for at := pool.Masked(); pool.Contains(at.Addr()); at = after(at) {
		at = netip.PrefixFrom(at.Addr(), SubnetBits)
		if !overlaps(at, used) {
			return at, nil
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

func overlaps(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if p.Overlaps(u) {
			return true
		}
	}
	return false
}
