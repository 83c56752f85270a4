package source_test

import (
	"testing"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

func TestPlaceOfAPartIsThePlaceAroundIt(t *testing.T) {
	o := source.Origins{
		"":                      {File: "c.yml"},
		"services.a.b":          {File: "c.yml", Line: 2},
		"services.a.b.ports[0]": {File: "c.yml", Line: 5},
	}
	for path, line := range map[string]int{
		"services.a.b.ports[0]": 5, "services.a.b.ports[1]": 2, "services.a.b.image": 2, "name": 0, "": 0,
	} {
		if got := o.Find(path); got.Line != line || got.File != "c.yml" {
			t.Errorf("Find(%q) = %v, want line %d", path, got, line)
		}
	}
}

func TestKeysAreJudgedByTheirBytes(t *testing.T) {
	good := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home"
	if !source.UsableKey(good) {
		t.Error("a key was not taken")
	}
	for _, bad := range []string{"", "ssh-rsa ...", "ssh-rsa AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5", "ssh-rsa /////w==", "ssh-ed25519"} {
		if source.UsableKey(bad) {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestSaidTwiceAtOnePlaceIsSaidOnce(t *testing.T) {
	r := source.NewReading("c.yml")
	at := problem.Place{File: "c.yml", Line: 3, Column: 1}
	r.Refuse(problem.Place{File: "c.yml", Line: 9}, "late", "")
	r.Refuse(at, "early", "")
	r.Refuse(at, "early", "")
	got := source.Tidy(r.Mistakes)
	if len(got) != 2 || got[0].Says != "early" {
		t.Errorf("got %v", got)
	}
}
