package havre_test

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promises are the documents whose tables name tests.
var promises = []string{"docs/design/promises.md", "docs/design/guard.md", "docs/design/reconcile.md"}

var (
	testName   = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	scriptName = regexp.MustCompile(`\b((?:guard|cli)_[a-z_*]+)(?:\.txtar)?`)
	placeName  = regexp.MustCompile("`((?:internal|e2e|cmd|arch)[a-z0-9/_-]*)`")
)

// A row that names a test which was renamed or removed promises nothing.
func TestTablesOfPromisesNameTestsThatExist(t *testing.T) {
	where := testFiles(t)
	for _, doc := range promises {
		for n, line := range strings.Split(read(t, doc), "\n") {
			for _, name := range testName.FindAllString(line, -1) {
				if len(where[name]) == 0 {
					t.Errorf("%s:%d: there is no %s", doc, n+1, name)
				}
			}
			for _, name := range scriptName.FindAllStringSubmatch(line, -1) {
				if found, err := filepath.Glob("e2e/script/" + name[1] + "*"); err != nil || len(found) == 0 {
					t.Errorf("%s:%d: there is no script %s", doc, n+1, name[1])
				}
			}
			for _, part := range strings.Split(line, ";") {
				misplaced(t, part, where)
			}
		}
	}
}

// misplaced complains of tests behind the name of a file or package that does
// not hold them: "`internal/store/store`: TestA, TestB".
func misplaced(t *testing.T, part string, where map[string][]string) {
	t.Helper()
	at := placeName.FindAllStringSubmatchIndex(part, -1)
	for i, place := range at {
		name, end := part[place[2]:place[3]], len(part)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		if said, ok := strings.CutPrefix(part[place[1]:end], ":"); ok {
			said, _, _ = strings.Cut(said, "|")
			for _, test := range testName.FindAllString(said, -1) {
				if !slices.ContainsFunc(where[test], func(file string) bool { return holds(name, file) }) {
					t.Errorf("%s is in %v, not in %s", test, where[test], name)
				}
			}
		} else if _, err := os.Stat(name); err != nil && !exists(name+"_test.go") && !exists(name+"*.txtar") && !exists(name+"*_test.go") {
			t.Errorf("there is no %s", name)
		}
	}
}

// holds tells whether a name of the tables, a package's or a file's without
// its ending, stands for file.
func holds(name, file string) bool {
	return file == name+"_test.go" || path.Dir(file) == name || strings.HasPrefix(file, name+"_")
}

func exists(pattern string) bool {
	found, err := filepath.Glob(pattern)
	return err == nil && len(found) > 0
}

// testFiles are the files that have a test of each name.
func testFiles(t *testing.T) map[string][]string {
	t.Helper()
	where := map[string][]string{}
	for _, s := range append(tests(t), sources(t)...) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && testName.MatchString(f.Name.Name) {
				where[f.Name.Name] = append(where[f.Name.Name], s.path)
			}
		}
	}
	return where
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
