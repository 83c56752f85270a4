package deploy

import (
	"slices"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// blind warns of what hooks do not see of their service: they are on its
// project's network alone.
func blind(c api.Change, s *project.Service, r *project.Rollout) []problem.Problem {
	outside := func(l spec.Link) bool { _, _, outside := l.Outside(); return outside }
	if c.Verb != "create" && c.Verb != "update" || !slices.ContainsFunc(r.Spec.Links, outside) {
		return nil
	}
	var notes []problem.Problem
	if command := r.InitCommand(); command != nil && len(volumesOf(r.Spec)) > 0 {
		notes = append(notes, *problem.New(problem.Invalid, "the init of %s, %s, does not see the service's links to other projects", r.Spec.Name, command[0]).
			With("leave what needs them to the service itself, at its first start; or take the init away with x-havre.init: false"))
	}
	if command := s.UpgradeCommand(r); command != nil {
		notes = append(notes, *problem.New(problem.Invalid, "the upgrade of %s, %s, does not see the service's links to other projects", r.Spec.Name, command[0]).
			With("leave what needs them to the service itself, when it starts"))
	}
	return notes
}
