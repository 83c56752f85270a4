package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"havre/internal/problem"
	"havre/internal/project/projecttest"
	"havre/internal/service"
	"havre/internal/spec"
)

// Hooks are on their project's network alone.
func TestInitThatMissesSomethingIsWarnedOf(t *testing.T) {
	secret := func(s *spec.Service) {
		s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.SecretFile, Source: "key", Target: "/run/secrets/key"})
	}
	outside := link("store/db", "")
	hook := func(words ...string) func(*spec.Service) {
		return func(s *spec.Service) { s.InitHook = words }
	}
	for says, c := range map[string]struct {
		service spec.Service
		image   service.Image
		want    string
	}{
		"its own":               {projecttest.Service("db", outside, volume("data", "/data"), hook("/seed", "--all")), service.Image{ID: "sha256:db:1"}, "the init of db, /seed, does not see the service's links to other projects"},
		"the image's":           {projecttest.Service("db", outside, volume("data", "/data")), service.Image{ID: "sha256:db:1", Init: "/dk/container_init"}, "the init of db, /dk/container_init, does not see"},
		"the image's, but none": {projecttest.Service("db", outside, volume("data", "/data"), hook("")), service.Image{ID: "sha256:db:1", Init: "/dk/container_init"}, ""},
		"no init":               {projecttest.Service("db", outside, volume("data", "/data")), service.Image{ID: "sha256:db:1"}, ""},
		"nothing to miss":       {projecttest.Service("db", volume("data", "/data"), hook("/seed")), service.Image{ID: "sha256:db:1"}, ""},
		"a link within":         {projecttest.Service("db", volume("data", "/data"), hook("/seed"), link("db", "me")), service.Image{ID: "sha256:db:1"}, ""},
		"secrets and settings": {projecttest.Service("db", secret, volume("data", "/data"), hook("/seed"), func(s *spec.Service) {
			s.Sysctls, s.Groups = map[string]string{"net.core.somaxconn": "9"}, []string{"33"}
		}), service.Image{ID: "sha256:db:1"}, ""},
		"nothing to fill": {projecttest.Service("db", outside, hook("/seed")), service.Image{ID: "sha256:db:1"}, ""},
	} {
		p := shop(c.service)
		p.Secrets = []spec.Secret{{Name: "key"}}
		o := declared(t, fresh(), p, c.image)
		if said := slices.ContainsFunc(o.Plan.Notes, func(n problem.Problem) bool {
			return c.want != "" && strings.Contains(n.Says, c.want) && n.Remedy != ""
		}); said != (c.want != "") || len(o.Plan.Notes) > 1 {
			t.Errorf("%s: %+v", says, o.Plan.Notes)
		}
		if again := declared(t, serving(o.Record), p, c.image); len(again.Plan.Notes) > 0 {
			t.Errorf("%s: once more for what stays: %+v", says, again.Plan.Notes)
		}
	}
}
