package dialect_test

import (
	"reflect"
	"slices"
	"testing"

	"havre/internal/dialect"
	"havre/internal/spec"
)

// The one is the other, and what in front adds to it.
func TestTheMailServerAsComposeAddsANameAndItsCertificate(t *testing.T) {
	read := func(name string) (out []spec.Service) {
		r, err := dialect.Read(t.Context(), dialect.Request{Files: []string{"../../examples/mail/" + name}})
		if err != nil || r.Project.Name != "mail" {
			t.Fatal(r.Project.Name, err)
		}
		for _, s := range r.Project.Services {
			s.Domains, s.Front = nil, spec.Front{}
			s.Expose = nil // a published port is exposed, said or not
			s.Mounts = slices.DeleteFunc(s.Mounts, func(m spec.Mount) bool {
				return m.Kind == spec.SecretFile && m.Source == spec.CertificateSecret("mail.localhost")
			})
			if len(s.Mounts) == 0 {
				s.Mounts = nil
			}
			out = append(out, s)
		}
		return out
	}
	asJSON, asCompose := read("mail.json"), read("compose.yml")
	if !reflect.DeepEqual(asJSON, asCompose) {
		t.Errorf("mail.json is\n%+v\nand compose.yml\n%+v", asJSON, asCompose)
	}
}
