package dialect_test

import (
	"reflect"
	"testing"

	"havre/internal/dialect"
	"havre/internal/spec"
)

// The demo applies one after the other, and no container may be replaced.
func TestTheMailServerAsComposeAddsNothingButAName(t *testing.T) {
	read := func(name string) (out []spec.Service) {
		r, err := dialect.Read(t.Context(), dialect.Request{Files: []string{"../../examples/mail/" + name}})
		if err != nil || r.Project.Name != "mail" {
			t.Fatal(r.Project.Name, err)
		}
		for _, s := range r.Project.Services {
			s.Domains, s.Front = nil, spec.Front{}
			s.Expose = nil // a published port is exposed, said or not
			out = append(out, s)
		}
		return out
	}
	asJSON, asCompose := read("mail.json"), read("compose.yml")
	if !reflect.DeepEqual(asJSON, asCompose) {
		t.Errorf("mail.json is\n%+v\nand compose.yml\n%+v", asJSON, asCompose)
	}
}
