package compose_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
)

// TestTagsActAsUnderDockerCompose reads pairs of files with !reset and
// !override, and asks the official reader what they come to.
func TestTagsActAsUnderDockerCompose(t *testing.T) {
	base := `services:
  web:
    image: web
    command: [a, b]
    environment: [A=1, B=2, C]
    labels: {x: y, z: "1"}
    extra_hosts: ["one:192.0.2.1", "two=192.0.2.2"]
    depends_on: [db]
    hostname: h
  db: {image: db, environment: {D: "1"}}
`
	for _, over := range []string{
		"services: {web: {environment: {A: !reset null}}}",
		"services: {web: {environment: !reset {}}}",
		"services: {web: {environment: !override {A: \"3\"}}}",
		"services: {web: {environment: !override [E=5]}}",
		"services: {web: {command: !reset [], hostname: !reset null}}",
		"services: {web: {command: !override [c]}}",
		"services: {web: {labels: {x: !reset null}, extra_hosts: {one: !reset null}}}",
		"services: {web: {depends_on: !reset []}, db: !reset null}",
		"services: {web: {depends_on: {db: !reset null}}}",
		"services: {web: !override {image: other}}",
		"services: !override {other: {image: other}}",
		"services: {web: {image: !override other, hostname: !mine g}}",
		"services: {web: {environment: [A=7, !reset B=9]}}",
		"services: {child: {extends: web, environment: {A: !reset null, F: \"6\"}, command: !reset []}}",
		"services: {grand: {extends: child, labels: !reset {}}, child: {extends: db, environment: !override {G: \"1\"}}}",
		"x-x: &x !override [Z=1]\nservices: {web: {environment: *x}}",
	} {
		texts := []source.Text{{Name: "a.yml", Content: []byte(base)}, {Name: "b.yml", Content: []byte(over)}}
		if strings.Contains(over, "extends: web") || strings.Contains(over, "extends: db") { // the library looks for a base in the same file
			texts = []source.Text{{Name: "a.yml", Content: []byte(base + strings.TrimSuffix(strings.TrimPrefix(expanded(over), "services:\n"), "\n") + "\n")}}
		}
		want := official(t, texts)
		r := compose.Read(t.Context(), compose.Request{Texts: texts, Env: map[string]string{"C": "c"}})
		if len(r.Mistakes) > 0 || len(r.Project.Services) != len(want) {
			t.Errorf("%s: %v, %d services, want %d", over, r.Mistakes, len(r.Project.Services), len(want))
			continue
		}
		for _, s := range r.Project.Services {
			w := want[s.Name]
			env := map[string]string{}
			for name, value := range w.Environment {
				if env[name] = "c"; value != nil {
					env[name] = *value
				}
			}
			got := []any{s.Image, strings.Join(s.Command, " "), len(s.Labels), len(s.Hosts), len(s.Needs), s.Hostname}
			wanted := []any{w.Image, strings.Join(w.Command, " "), len(w.Labels), len(w.ExtraHosts), len(w.DependsOn), w.Hostname}
			if !reflect.DeepEqual(got, wanted) || len(env) != len(s.Environment) || len(env) > 0 && !reflect.DeepEqual(env, s.Environment) {
				t.Errorf("%s: %s is %v with %v, want %v with %v", over, s.Name, got, s.Environment, wanted, env)
			}
		}
	}
}

// expanded writes services in a mapping of one line on lines of their own.
func expanded(over string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(over, "services: {"), "}")
	return "services:\n  " + strings.ReplaceAll(inner, "}, child:", "}\n  child:") + "\n"
}

func official(t *testing.T, texts []source.Text) types.Services {
	t.Helper()
	var files []types.ConfigFile
	for _, text := range texts {
		files = append(files, types.ConfigFile{Filename: text.Name, Content: text.Content})
	}
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{ConfigFiles: files}, func(o *loader.Options) {
		o.SetProjectName("x", true)
		o.SkipConsistencyCheck, o.SkipNormalization = true, true
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.Services
}

// TestNoTagTakesAFieldPastTheTable wants the same to be said of a field
// whatever tag its value has.
func TestNoTagTakesAFieldPastTheTable(t *testing.T) {
	seen := 0
	for _, f := range compose.Fields() {
		name, ok := strings.CutPrefix(f.Path, "services.*.")
		if f.Verdict == compose.Honoured || !ok || strings.ContainsAny(name, ".[") {
			continue
		}
		seen++
		said := func(value string) string {
			text := fmt.Sprintf("services: {a: {image: a, %s: %s}}", name, value)
			r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "a.yml", Content: []byte("services: {a: {image: b}}")}, {Name: "b.yml", Content: []byte(text)}}})
			var all []string
			for _, p := range append(r.Mistakes, r.Notes...) {
				all = append(all, p.Says)
			}
			return strings.Join(all, "\n")
		}
		for _, value := range []string{"host", `"${V:-host}"`} {
			plain := said(value)
			for _, tag := range []string{"!override ", "!mine ", "!!str ", "&a !override ", "!<!override> "} {
				if got := said(tag + value); got != plain || plain == "" || strings.Contains(plain, "not YAML") {
					t.Errorf("%s: %s%s: %q, without the tag %q", name, tag, value, got, plain)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d fields", seen)
	}
}

func TestTaggedTextIsFilledIn(t *testing.T) {
	text := `services: {a: {image: a, environment: {A: !override "${V}", B: !mine "${V}", C: !!binary JHtWfQ==, D: !!str "${V}", E: &e !<tag:x> "${V}"}}}`
	r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "a.yml", Content: []byte(text)}}, Env: map[string]string{"V": "v"}})
	if len(r.Mistakes) > 0 {
		t.Fatal(r.Mistakes)
	}
	for name, value := range r.Project.Services[0].Environment {
		if value != "v" {
			t.Errorf("%s is %q", name, value)
		}
	}
}
