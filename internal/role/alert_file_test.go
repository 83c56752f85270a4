package role_test

import (
	"os"
	"path/filepath"
	"testing"

	"havre/internal/role"
)

func TestAlertsAreReadAgainWhenTheFileChanged(t *testing.T) {
	l := role.Layout{Data: t.TempDir()}
	file := l.Config("server")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	reread := role.AlertFile(l)
	const one, other = `{"alert": {"repeat": "1h"}}`, `{"alert": {"repeat": "2h"}}`
	for i, step := range []struct {
		text   string // "-": none
		change bool
		repeat string
		wrong  bool
	}{
		{"-", true, "", false}, // there never was one
		{"-", false, "", false},
		{one, true, "1h", false},
		{one, false, "", false},
		{other, true, "2h", false}, // of the same size
		{`{"alert": {"repeat": `, true, "", true},
		{`{"alert": {"repeat": `, false, "", false},
		{`{"alert": {"repeat": "often"}}`, true, "", true},
		{other, true, "2h", false},
		{"-", true, "", true},
		{"-", false, "", false},
		{other, true, "2h", false},
	} {
		var err error
		if step.text == "-" {
			_ = os.Remove(file) // it may not be there
		} else if err = os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, changed, err := reread()
		if changed != step.change || (err != nil) != step.wrong || err == nil && c.Repeat != step.repeat {
			t.Errorf("step %d: %+v, changed %v, %v", i, c, changed, err)
		}
	}
}
