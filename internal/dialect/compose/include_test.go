package compose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
)

func TestNoLinkLeadsANamedFileOutOfTheProject(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "c.yml"), []byte("services: {secret: {image: secret}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"include: [link/c.yml]\nservices: {a: {image: a}}",
		"include: [{path: link/c.yml}]\nservices: {a: {image: a}}",
		"services: {a: {image: a, extends: {file: link/c.yml, service: secret}}}",
	} {
		r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: filepath.Join(dir, "c.yml"), Content: []byte(text)}}})
		if len(r.Mistakes) != 1 || !strings.Contains(r.Mistakes[0].Says, "cannot be read") || len(r.Project.Services) != 1 {
			t.Errorf("%s: %v, %+v", text, r.Mistakes, r.Project.Services)
		}
	}
}

func TestNamedFilesMayBeElsewhere(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "app")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	content := "services: {base: {image: base, env_file: base.env, configs: [c]}}\nconfigs: {c: {file: base.conf}}"
	for name, text := range map[string]string{"c.yml": content, "base.env": "A=1", "base.conf": "x"} {
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{
		"include: [../c.yml]\nservices: {a: {image: base, extends: base}}",
		"include: [" + top + "/c.yml]\nservices: {a: {image: base, extends: base}}",
		"services: {a: {extends: {file: ../c.yml, service: base}}}\nconfigs: {c: {content: x}}",
		"services: {a: {extends: {file: " + top + "/c.yml, service: base}}}\nconfigs: {c: {content: x}}",
	} {
		r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: filepath.Join(dir, "c.yml"), Content: []byte(text)}}})
		if len(r.Mistakes) != 0 || r.Project.Services[0].Image != "base" || r.Project.Services[0].Environment["A"] != "1" || len(r.Project.Files) != 1 || string(r.Project.Files[0].Content) != "x" {
			t.Errorf("%s: %v, %+v", text, r.Mistakes, r.Project)
		}
	}
}

func TestFilesThatNameEachOtherAreReadOnce(t *testing.T) {
	dir := t.TempDir()
	for i := range 100 {
		text := fmt.Sprintf("include: [%d.yml, %d.yml]\nservices: {s%d: {image: a}}", (i+1)%100, (i+50)%100, i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yml", i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: filepath.Join(dir, "c.yml"), Content: []byte("include: [0.yml]\nservices: {a: {image: a}}")}}})
	if len(r.Mistakes) == 0 || len(r.Project.Services) > 60 {
		t.Errorf("%d services, %v", len(r.Project.Services), r.Mistakes)
	}
}

// The library took them for extensions and dropped them.
func TestLabelsAndVariablesMayBeginLikeExtensions(t *testing.T) {
	r := read(t, "services: {web: {image: a, labels: {x-y: 1, b: c}, environment: {x-v: w}}}")
	s := r.Project.Services[0]
	if len(r.Mistakes)+len(r.Notes) != 0 || len(s.Labels) != 2 || s.Labels["x-y"] != "1" || s.Labels["b"] != "c" || s.Environment["x-v"] != "w" {
		t.Errorf("%+v %v %v", s, r.Mistakes, r.Notes)
	}
}
