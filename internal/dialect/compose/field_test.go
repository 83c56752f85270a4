package compose_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
)

func fields() map[string]compose.Field {
	all := map[string]compose.Field{}
	for _, f := range compose.Fields() {
		all[f.Path] = f
	}
	return all
}

// schemaWalk collects the paths of the specification's own schema.
type schemaWalk struct {
	root   map[string]any
	fields map[string]compose.Field
	paths  map[string]bool
	depth  int
}

func TestEveryFieldOfTheSpecificationIsInTheTable(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &root); err != nil {
		t.Fatal(err)
	}
	w := &schemaWalk{root: root, fields: fields(), paths: map[string]bool{}}
	w.walk(root, "")
	if len(w.paths) < 150 {
		t.Fatalf("only %d fields were found in the schema", len(w.paths))
	}
	for p := range w.paths {
		if _, ok := w.fields[p]; !ok {
			t.Errorf("%s is in the schema and not in the table", p)
		}
	}
	old := []string{"services.*.net", "services.*.log_driver", "services.*.log_opt", "services.*.dockerfile", "services.*.volume_driver"}
	for p := range w.fields {
		if !w.paths[p] && !strings.Contains(p, ".x-havre") && !slices.Contains(old, p) {
			t.Errorf("%s is in the table and not in the schema", p)
		}
	}
}

// walk follows one schema. What is below a field that is not honoured, or
// whose names are the person's, is not asked for.
func (w *schemaWalk) walk(s map[string]any, at string) {
	if w.depth++; w.depth > 40 {
		panic("the schema goes in circles at " + at)
	}
	defer func() { w.depth-- }()
	if f, ok := w.fields[at]; ok && f.Verdict != compose.Honoured {
		return
	}
	if ref, ok := s["$ref"].(string); ok {
		w.walk(w.follow(ref), at)
	}
	for _, how := range []string{"allOf", "oneOf", "anyOf"} {
		alternatives, _ := s[how].([]any)
		for _, a := range alternatives {
			w.walk(a.(map[string]any), at)
		}
	}
	dot := at
	if at != "" {
		dot += "."
	}
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		w.paths[dot+name] = true
		w.walk(p.(map[string]any), dot+name)
	}
	patterns, _ := s["patternProperties"].(map[string]any)
	for pattern, p := range patterns {
		below, ok := p.(map[string]any)
		if _, structured := w.fields[dot+"*"]; ok && structured && pattern != "^x-" {
			w.paths[dot+"*"] = true
			w.walk(below, dot+"*")
		}
	}
	if items, ok := s["items"].(map[string]any); ok {
		w.walk(items, at+"[]")
	}
}

func (w *schemaWalk) follow(ref string) map[string]any {
	n := any(w.root)
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		n = n.(map[string]any)[name]
	}
	return n.(map[string]any)
}

func TestEveryFieldOfTheLibrarysServiceIsInTheTable(t *testing.T) {
	all := fields()
	var look func(reflect.Type)
	look = func(s reflect.Type) {
		for i := range s.NumField() {
			f := s.Field(i)
			tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case f.Anonymous:
				look(f.Type)
			case tag == "" || tag == "-" || tag == "name" || strings.HasPrefix(tag, "#"):
			default:
				if _, ok := all["services.*."+tag]; !ok {
					t.Errorf("%s (%s) is not in the table", tag, f.Name)
				}
			}
		}
	}
	look(reflect.TypeFor[types.ServiceConfig]())
}

func TestEveryRefusalHasAReasonAndAWayOut(t *testing.T) {
	for _, f := range compose.Fields() {
		if f.Says == "" || f.Verdict != compose.Honoured && f.Remedy == "" {
			t.Errorf("%s: says %q, remedy %q", f.Path, f.Says, f.Remedy)
		}
	}
}

// read reads one file in an empty directory.
func read(t *testing.T, content string) *source.Reading {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	more := "services: {more: {image: 'more:${FROM_FILE:-0}', env_file: file.env}, base: {image: base, user: '6'}}"
	for name, text := range map[string]string{"file.txt": "text\n", "file.env": "FROM_FILE=1\n", "sub/file.env": "FROM_SUB=1\n", "more.yml": more} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return compose.Read(t.Context(), compose.Request{
		Texts: []source.Text{{Name: "c.yml", Content: []byte(content)}},
		Dir:   dir,
		Env:   map[string]string{"GIVEN": "1"},
	})
}

// nest writes a file in which the field at path has a value: JSON, which is YAML.
func nest(path string, value any) map[string]any {
	parts := strings.Split(path, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		name, list := strings.CutSuffix(parts[i], "[]")
		if list {
			value = []any{value}
		}
		switch {
		case name != "*":
		case i == 1 && parts[0] == "services":
			name = "web"
		case parts[i-1] == "networks" && i > 1:
			name = "default"
		case parts[i-1] == "depends_on":
			name = "other"
		default:
			name = "thing"
		}
		value = map[string]any{name: value}
	}
	return value.(map[string]any)
}

// whole adds what every file needs.
func whole(t *testing.T, file map[string]any) string {
	t.Helper()
	services, _ := file["services"].(map[string]any)
	if services == nil {
		services = map[string]any{}
		file["services"] = services
	}
	services["other"] = map[string]any{"image": "other", "restart": "no"}
	web, _ := services["web"].(map[string]any)
	if web == nil {
		web = map[string]any{}
		services["web"] = web
	}
	if _, has := web["image"]; !has {
		web["image"] = "web"
	}
	if _, has := file["volumes"]; !has {
		file["volumes"] = map[string]any{"data": nil}
	}
	b, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNothingIsDroppedSilently(t *testing.T) {
	for _, f := range compose.Fields() {
		if f.Verdict == compose.Honoured || strings.Contains(f.Path, "extends") {
			continue
		}
		r := read(t, whole(t, nest(f.Path, "sample")))
		name := f.Path[strings.LastIndexAny(f.Path, ".")+1:]
		said := func(p interface{ Error() string }) bool { return strings.Contains(p.Error(), name) }
		switch f.Verdict {
		case compose.Warned:
			if !slices.ContainsFunc(r.Notes, func(p problemOf) bool { return said(p) }) {
				t.Errorf("%s: no warning, but %v %v", f.Path, r.Notes, r.Mistakes)
			}
		case compose.Refused:
			if !slices.ContainsFunc(r.Mistakes, func(p problemOf) bool { return said(p) }) {
				t.Errorf("%s: no mistake, but %v %v", f.Path, r.Notes, r.Mistakes)
			}
		}
	}
}

func TestValuesThatAskForNothingPass(t *testing.T) {
	for _, f := range compose.Fields() {
		for _, fine := range append([]string{""}, f.Fine...) {
			if f.Verdict == compose.Honoured || strings.Contains(f.Path, "[]") || strings.HasPrefix(f.Path, "configs.") || strings.HasPrefix(f.Path, "secrets.") ||
				strings.Contains(f.Path, "extends") || strings.Contains(f.Path, "depends_on") {
				continue // these need more beside them
			}
			r := read(t, whole(t, nest(f.Path, fine)))
			if len(r.Mistakes)+len(r.Notes) > 0 {
				t.Errorf("%s: %q: %v %v", f.Path, fine, r.Notes, r.Mistakes)
			}
		}
	}
}

func TestEveryHonouredFieldArrives(t *testing.T) {
	for _, f := range compose.Fields() {
		if f.Verdict != compose.Honoured || structure[f.Path] {
			continue
		}
		value, ok := samples[f.Path]
		if !ok {
			t.Errorf("%s: give it a sample", f.Path)
			continue
		}
		with := whole(t, value)
		r := read(t, with)
		if len(r.Mistakes) > 0 {
			t.Errorf("%s: %v", f.Path, r.Mistakes)
			continue
		}
		without := drop(t, with, f.Path)
		if without == with {
			t.Errorf("%s: its sample lacks it", f.Path)
		}
		if less := read(t, without); len(less.Mistakes) == 0 && project(t, less) == project(t, r) {
			t.Errorf("%s does not arrive", f.Path)
		}
	}
}

// drop takes the field at path out of a file.
func drop(t *testing.T, file, path string) string {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(file), &root); err != nil {
		t.Fatal(err)
	}
	var fall func(n any, parts []string)
	fall = func(n any, parts []string) {
		object, ok := n.(map[string]any)
		if !ok {
			return
		}
		name, list := strings.CutSuffix(parts[0], "[]")
		for key := range object {
			switch {
			case name != "*" && key != name:
			case len(parts) == 1:
				delete(object, key)
			case list:
				for _, item := range object[key].([]any) {
					fall(item, parts[1:])
				}
			default:
				fall(object[key], parts[1:])
			}
		}
	}
	// Only web is asked about; the others are what it needs.
	if services, ok := root["services"].(map[string]any); ok && strings.HasPrefix(path, "services.*.") {
		fall(services["web"], strings.Split(path, ".")[2:])
	} else {
		fall(root, strings.Split(path, "."))
	}
	b, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func project(t *testing.T, r *source.Reading) string {
	t.Helper()
	b, err := json.Marshal(r.Project)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s%+v%s", b, r.Builds, r.Notes)
}
