package deploy

import (
	"context"
	"slices"

	"havre/internal/problem"
	"havre/internal/spec"
)

// Rights knows what root lets services do beyond what each may.
type Rights interface {
	// Granted is capabilities, like NET_ADMIN.
	Granted(ctx context.Context) ([]string, error)
}

// ungranted finds the capabilities that services want and that nobody granted.
// The guard would refuse them, too, but only when the old one has stopped.
func (d *Deployer) ungranted(ctx context.Context, want spec.Project) (problem.List, error) {
	if !slices.ContainsFunc(want.Services, func(s spec.Service) bool { return len(s.CapAdd) > 0 }) {
		return nil, nil
	}
	var granted []string
	if d.Rights != nil {
		var err error
		if granted, err = d.Rights.Granted(ctx); err != nil {
			return nil, err
		}
	}
	var wrong problem.List
	for _, s := range want.Services {
		for _, c := range s.CapAdd {
			if !slices.Contains(granted, c) {
				wrong = append(wrong, problem.New(problem.Denied, "service %s wants the capability %s, which root has not granted to services of this machine", s.Name, c).
					With(`take it out of cap_add; or root adds "CAP_%s" to capabilities in guard/bounds.json of Havre's data directory, then: havre down, havre up --detach`, c))
			}
		}
	}
	return wrong, nil
}
