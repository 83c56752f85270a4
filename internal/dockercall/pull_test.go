package dockercall_test

import (
	"strings"
	"testing"

	"havre/internal/dockercall"
)

func TestPulledImageHasItsOwnNameInTheEnvironment(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for name, want := range map[string]struct{ at, ref string }{
		"debian":                         {"debian:latest", "debian:latest"},
		"debian:5000":                    {"debian:5000", "debian:5000"},
		"a/b:1":                          {"a/b:1", "a/b:1"},
		"127.0.0.1:5000/b":               {"127.0.0.1:5000/b:latest", "127.0.0.1__5000/b:latest"},
		"hub.example:5000/a/b:1":         {"hub.example:5000/a/b:1", "hub.example__5000/a/b:1"},
		"a@" + digest:                    {"a@" + digest, "a:sha256-" + digest[7:]},
		"hub.example:5000/a:2@" + digest: {"hub.example:5000/a@" + digest, "hub.example__5000/a:sha256-" + digest[7:]},
		"":                               {}, "Debian": {}, "a b": {}, "a/../b": {}, "a:b:c": {}, "a@sha256:1": {}, "/a": {}, "a/": {}, "a?tag=1": {}, "http://a/b": {},
		"havre.invalid/prod/app:1":      {},
		"hub.example:5000/a:b/c":        {},
		strings.Repeat("a1", 32):        {},
		strings.Repeat("a/", 200):       {},
		"a:" + strings.Repeat("1", 129): {},
	} {
		v := dockercall.RegistryName(name)
		ref, err := dockercall.PulledAs("prod", v)
		if want.at == "" {
			if err == nil {
				t.Errorf("%q is taken for %s", name, ref)
			}
			continue
		}
		if err != nil || v.At() != want.at || string(ref) != "havre.invalid/prod/"+want.ref {
			t.Errorf("%q is asked for as %s and named %s, %v", name, v.At(), ref, err)
		}
	}
	if ref, err := dockercall.PulledAs("", "debian"); err == nil {
		t.Errorf("in no environment it is %s", ref)
	}
}
