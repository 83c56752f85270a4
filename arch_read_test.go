package havre_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// source is a parsed Go file of ours.
type source struct {
	pkg, path string
	lines     int
	file      *ast.File
	set       *token.FileSet
}

func (s source) line(p token.Pos) int { return s.set.Position(p).Line }

// sources are the files that are neither tests nor generated.
func sources(t *testing.T) []source { return of(t, false) }

// tests are the test files.
func tests(t *testing.T) []source { return of(t, true) }

func of(t *testing.T, tests bool) []source {
	t.Helper()
	all, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(s source) bool { return strings.HasSuffix(s.path, "_test.go") != tests })
}

// parsed reads the whole tree once.
var parsed = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"node_modules", "testdata", "snippets", ".git", "bin"}, d.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, ".gen.go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{short(filepath.ToSlash(filepath.Dir(p))), filepath.ToSlash(p), strings.Count(string(text), "\n"), file, set})
		return nil
	})
	return all, err
})

func short(p string) string { return strings.TrimPrefix(p, "internal/") }

// sections of arch.txt, from the top down.
var sections = []string{"entry", "edges", "domain", "words", "tests"}

// arch is arch.txt.
type arch struct {
	order   []string            // packages as they stand
	section map[string]string   // of a package
	allowed map[string][]string // what a package may import
	marked  map[string]bool     // "from to" behind a "!"
}

func table(t *testing.T) arch {
	t.Helper()
	text, err := os.ReadFile("arch.txt")
	if err != nil {
		t.Fatal(err)
	}
	a := arch{section: map[string]string{}, allowed: map[string][]string{}, marked: map[string]bool{}}
	section := ""
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case strings.HasPrefix(f[0], "["):
			section = strings.Trim(f[0], "[]")
		default:
			a.order = append(a.order, f[0])
			a.section[f[0]] = section
			a.take(f[0], f[1:])
		}
	}
	return a
}

func (a arch) take(from string, to []string) {
	mark := false
	a.allowed[from] = []string{}
	for _, name := range to {
		if name == "!" {
			mark = true
			continue
		}
		a.allowed[from] = append(a.allowed[from], name)
		a.marked[from+" "+name] = mark
	}
}
