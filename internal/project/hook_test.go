package project_test

import (
	"testing"

	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

func TestUpgradeIsForAnotherImageThanServedBefore(t *testing.T) {
	hook := []string{"/migrate"}
	served := func(n int, image string) project.Rollout {
		return project.Rollout{Number: n, State: project.Retired, Image: service.Image{ID: image}}
	}
	failed := func(n int, image string) project.Rollout {
		return project.Rollout{Number: n, State: project.Failed, Reason: "no", Image: service.Image{ID: image}}
	}
	next := func(change func(*project.Rollout)) project.Rollout {
		r := project.Rollout{Number: 9, State: project.Pending, Image: service.Image{ID: "b"}, Spec: spec.Service{UpgradeHook: hook}}
		change(&r)
		return r
	}
	same := func(*project.Rollout) {}
	for says, c := range map[string]struct {
		before []project.Rollout
		next   project.Rollout
		want   bool
	}{
		"another image":                   {[]project.Rollout{served(1, "a")}, next(same), true},
		"the same":                        {[]project.Rollout{served(1, "a"), served(2, "b")}, next(same), false},
		"one that failed between":         {[]project.Rollout{served(1, "a"), failed(2, "b")}, next(same), true},
		"nothing served yet":              {[]project.Rollout{failed(1, "a")}, next(same), false},
		"the first":                       {nil, next(same), false},
		"it was done":                     {[]project.Rollout{served(1, "a")}, next(func(r *project.Rollout) { r.Upgraded = true }), false},
		"it serves":                       {[]project.Rollout{served(1, "a")}, next(func(r *project.Rollout) { r.State = project.Active }), false},
		"it failed and there is no other": {[]project.Rollout{served(1, "a")}, next(func(r *project.Rollout) { r.State, r.Reason = project.Failed, "no" }), true},
		"back to what was":                {[]project.Rollout{served(1, "b"), served(2, "a")}, next(func(r *project.Rollout) { r.Back = 1 }), false},
		"none is declared":                {[]project.Rollout{served(1, "a")}, next(func(r *project.Rollout) { r.Spec.UpgradeHook = nil }), false},
	} {
		s := project.Service{Rollouts: append(c.before, c.next)}
		if got := s.UpgradeCommand(s.Rollout(9)); (got != nil) != c.want {
			t.Errorf("%s: %q", says, got)
		}
	}
}
