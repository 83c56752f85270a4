package geard_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/txtar"

	"havre/internal/dialect/geard"
	"havre/internal/dialect/source"
)

func TestProjectIsCalledAsTheFile(t *testing.T) {
	for file, want := range map[string]string{
		"mail.json": "mail", "a/b/mail.json": "mail", "mail": "mail", "mail.json.20140625-101112": "mail",
		"mail.20140625-101112.json": "mail", "mail.20140625-101112": "mail", "my.app.json": "my.app", "mail.2014.json": "mail.2014",
	} {
		if got := geard.ProjectName(file); got != want {
			t.Errorf("%s gives %q, want %q", file, got, want)
		}
	}
}

func TestDeploymentsAreTold(t *testing.T) {
	for content, want := range map[string]bool{
		`{"containers": []}`: true, `{"CONTAINERS": null}`: true, `{"Keys":[{}], "containers": [`: true,
		`{"services": {"containers": {}}}`: false, `{"services": {"x": {"containers": 1,}}}`: false, `services: {}`: false, `[]`: false, ``: false, `{`: false,
	} {
		if got := geard.Looks([]byte(content)); got != want {
			t.Errorf("%s: %v", content, got)
		}
	}
}

// fixtures are the deployments of the golden files.
func fixtures(t *testing.T) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../testdata/geard_*.txtar")
	if err != nil || len(names) < 15 {
		t.Fatalf("%d fixtures: %v", len(names), err)
	}
	found := map[string][]byte{}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if json.Valid(a.Files[0].Data) && !strings.Contains(name, "wrong") {
			found[name] = a.Files[0].Data
		}
	}
	return found
}

func TestLetterCaseOfKeysDoesNotMatter(t *testing.T) {
	for name, content := range fixtures(t) {
		want := geard.Read(source.Text{Name: "d.json", Content: content}, "d")
		for how, change := range map[string]func(string) string{"lower": strings.ToLower, "upper": strings.ToUpper, "swapped": swapped} {
			got := geard.Read(source.Text{Name: "d.json", Content: recased(t, content, change)}, "d")
			if !reflect.DeepEqual(got.Project, want.Project) || len(got.Notes) != len(want.Notes) || len(got.Mistakes) != len(want.Mistakes) {
				t.Errorf("%s in %s case differs", name, how)
			}
		}
	}
}

func swapped(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsUpper(r) {
			return unicode.ToLower(r)
		}
		return unicode.ToUpper(r)
	}, s)
}

// recased changes the case of all keys.
func recased(t *testing.T, content []byte, change func(string) string) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			c := map[string]any{}
			for key, value := range v {
				c[change(key)] = walk(value)
			}
			return c
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		}
		return v
	}
	b, err := json.Marshal(walk(v))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryKeyIsRead(t *testing.T) {
	for _, f := range geard.Fields {
		r := geard.Read(source.Text{Name: "d.json", Content: []byte(nested(f.Path))}, "d")
		if !strings.Contains(r.Mistakes.Error(), "must be") && !strings.Contains(r.Mistakes.Error(), "unknown") {
			t.Errorf("%s: a value of the wrong type went unseen: %v %v", f.Path, r.Notes, r.Mistakes)
		}
	}
}

// nested gives the key at path a value of no type that any key has.
func nested(path string) string {
	parts := strings.Split(path, ".")
	value := `{"x":{}}`
	if strings.HasSuffix(path, "Target") {
		value = `7`
	}
	for i := len(parts) - 1; i >= 0; i-- {
		name, list := strings.CutSuffix(parts[i], "[]")
		if list {
			value = "[" + value + "]"
		}
		beside := ""
		if i > 0 && parts[i-1] == "Containers[]" && name != "Name" {
			beside = `"name":"a",`
		}
		if i > 0 && parts[i-1] == "Links[]" && name != "To" {
			beside = `"to":"a",`
		}
		if i > 0 && parts[i-1] == "Keys[]" && name != "Type" {
			beside = `"type":"authorized_keys",`
		}
		value = "{" + beside + `"` + name + `":` + value + "}"
	}
	return value
}
