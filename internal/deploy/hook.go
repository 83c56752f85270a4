package deploy

import (
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// blind warns of what hooks do not see of their service: they are plain
// containers, and an engine gives secrets to containers of swarm services
// alone. The rest the guard lets no plain container have.
func blind(c api.Change, s *project.Service, r *project.Rollout) []problem.Problem {
	missed := missing(r)
	if c.Verb != "create" && c.Verb != "update" || len(missed) == 0 {
		return nil
	}
	var notes []problem.Problem
	if command := r.InitCommand(); command != nil && len(volumesOf(r.Spec)) > 0 {
		notes = append(notes, *problem.New(problem.Invalid, "the init of %s, %s, does not see the service's %s", r.Spec.Name, command[0], missed).
			With("leave what needs them to the service itself, at its first start; or take the init away with x-havre.init: false"))
	}
	if command := s.UpgradeCommand(r); command != nil {
		notes = append(notes, *problem.New(problem.Invalid, "the upgrade of %s, %s, does not see the service's %s", r.Spec.Name, command[0], missed).
			With("leave what needs them to the service itself, when it starts"))
	}
	return notes
}

// missed is what hooks of a rollout do not see of its service, in words.
func missing(r *project.Rollout) string {
	s, all := r.Spec, []string{}
	for words, has := range map[string]bool{
		"secrets":                 slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return m.Kind == spec.SecretFile }),
		"links to other projects": slices.ContainsFunc(s.Links, func(l spec.Link) bool { _, _, outside := l.Outside(); return outside }),
		"further groups":          len(s.Groups) > 0,
		"extra hosts":             len(s.Hosts) > 0,
		"DNS settings":            len(s.DNS.Servers)+len(s.DNS.Search)+len(s.DNS.Options) > 0,
		"sysctls":                 len(s.Sysctls) > 0,
		"ulimits":                 len(s.Ulimits) > 0,
	} {
		if has {
			all = append(all, words)
		}
	}
	slices.Sort(all)
	if n := len(all); n > 1 {
		return strings.Join(all[:n-1], ", ") + " and " + all[n-1]
	}
	return strings.Join(all, "")
}
