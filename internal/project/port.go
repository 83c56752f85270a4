package project

import (
	"slices"

	"havre/internal/route"
	"havre/internal/spec"
)

// Port is a port of the machine.
type Port struct {
	Number   uint16
	Protocol spec.Protocol
}

// free is a port that nobody has.
// Errors: Conflict, when all are taken.
func free(used map[Port]string, proto spec.Protocol) (uint16, error) {
	taken := map[uint16]bool{}
	for p := route.FirstPort; p <= route.LastPort; p++ {
		if spec.EnginePort(uint16(p), proto) {
			taken[uint16(p)] = true
		}
	}
	for p := range used {
		taken[p.Number] = taken[p.Number] || p.Protocol == proto
	}
	return route.Allocate(taken, 0)
}

// Ports gives every port that the records' services have, and who has it.
func Ports(records []Record, except spec.ProjectID) map[Port]string {
	taken := map[Port]string{}
	for _, r := range records {
		if r.ID == except {
			continue
		}
		for _, s := range r.Present() {
			for _, ro := range s.held() {
				for _, p := range ro.Spec.Ports {
					taken[Port{p.External, p.Protocol}] = r.Environment + "." + r.Name + "." + s.Name
				}
			}
		}
	}
	return taken
}

// held are the rollouts whose ports and domains are the service's: during an
// update those of the one that serves and of the one that comes.
func (s *Service) held() []*Rollout {
	var held []*Rollout
	for _, n := range []int{s.Active, s.Target} {
		if r := s.Rollout(n); r != nil && !slices.Contains(held, r) {
			held = append(held, r)
		}
	}
	return held
}
