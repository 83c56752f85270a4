package route

import "havre/internal/problem"

// The ports that are given to services which ask for any.
const (
	FirstPort = 4000
	LastPort  = 59999
)

// Allocate gives the first port after last that is not taken, from FirstPort
// to LastPort and round again; a last outside of them starts at FirstPort. The
// caller keeps the answer with the service, and as the next last: so a port
// that was given back is not soon another service's.
// Errors: Conflict when all are taken.
func Allocate(taken map[uint16]bool, last uint16) (uint16, error) {
	const count = LastPort - FirstPort + 1
	start := 0
	if last >= FirstPort && last <= LastPort {
		start = int(last) - FirstPort + 1
	}
	for i := range count {
		p := uint16(FirstPort + (start+i)%count)
		if !taken[p] {
			return p, nil
		}
	}
	return 0, problem.New(problem.Conflict, "all ports from %d to %d are taken", FirstPort, LastPort).
		With("remove services that are not needed, or give this one a port outside of them")
}
