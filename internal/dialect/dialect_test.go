package dialect_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"havre/internal/dialect"
	"havre/internal/problem"
	"havre/internal/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// outputs are the files of a golden archive that the test makes.
var outputs = []string{"project.json", "notes", "errors"}

// TestFilesReadAsRecorded reads each archive of testdata. Its comment tells a
// story and may have lines "files:", "env:", "variable:", "project:", "offset:",
// "stdin:".
func TestFilesReadAsRecorded(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			path, err := filepath.Abs(name)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, path)
		})
	}
}

func golden(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	q := unpack(t, archive)
	result, err := dialect.Read(t.Context(), q)
	got := map[string]string{"notes": lines(result.Notes), "errors": mistakes(t, err)}
	if err == nil {
		got["project.json"] = project(t, result.Project)
		if wrong := spec.Validate(result.Project); len(wrong) > 0 {
			t.Errorf("a mistake was let through: %v", wrong[0].Problem)
		}
	}
	if *update {
		rewrite(t, path, archive, got)
		return
	}
	for _, name := range outputs {
		if want := content(archive, name); got[name] != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got[name], want)
		}
	}
}

// unpack writes the inputs into a directory "shop" and goes there.
func unpack(t *testing.T, a *txtar.Archive) dialect.Request {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	var q dialect.Request
	for _, f := range a.Files {
		if isOutput(f.Name) {
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
		if len(q.Files) == 0 {
			q.Files = []string{f.Name}
		}
	}
	t.Chdir(dir)
	for line := range strings.Lines(string(a.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "files":
			q.Files = strings.Fields(value)
		case "project":
			q.Project = value
		case "stdin":
			q.Stdin = []byte(content(a, value))
			q.Files = []string{"-"}
		case "offset":
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			q.PortOffset = n
		case "env":
			q.Env = map[string]string{}
			for _, pair := range strings.Fields(value) {
				name, value, _ := strings.Cut(pair, "=")
				q.Env[name] = value
			}
		case "variable":
			name, value, _ := strings.Cut(value, "=")
			q.Env = map[string]string{name: value}
		}
	}
	return q
}

func isOutput(name string) bool {
	for _, o := range outputs {
		if o == name {
			return true
		}
	}
	return false
}

func content(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func lines(l []*problem.Problem) string {
	var b strings.Builder
	for _, p := range l {
		fmt.Fprintf(&b, "%s\n\t%s\n", p.Error(), p.Remedy)
	}
	return b.String()
}

// mistakes prints an error's list and sees to it that each has a remedy.
func mistakes(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	l, ok := err.(problem.List)
	if !ok {
		t.Fatalf("not a list of problems: %v", err)
	}
	for _, p := range l {
		if p.Remedy == "" || p.Kind != problem.Invalid && p.Kind != problem.NotFound {
			t.Errorf("%s: kind %s, remedy %q", p.Error(), p.Kind, p.Remedy)
		}
	}
	return lines(l)
}

func project(t *testing.T, p spec.Project) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func rewrite(t *testing.T, path string, a *txtar.Archive, got map[string]string) {
	t.Helper()
	kept := a.Files[:0]
	for _, f := range a.Files {
		if !isOutput(f.Name) {
			kept = append(kept, f)
		}
	}
	for _, name := range outputs {
		if got[name] != "" {
			kept = append(kept, txtar.File{Name: name, Data: []byte(got[name])})
		}
	}
	a.Files = kept
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
