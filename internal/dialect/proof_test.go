package dialect_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/compose"
)

// kept is what is honoured by being kept: nothing of it arrives anywhere.
var kept = []string{"services.*.x-havre.keys"}

// engineTests is where tests run on a real engine.
const engineTests = "../../e2e/docker"

// TestEachHonouredFieldIsProved wants, for each field that Havre honours, a
// test on a real engine that sees it arrive, and that this test declares it.
func TestEachHonouredFieldIsProved(t *testing.T) {
	proved := readProofs(t)
	declared := declaredFields(t)
	honoured := map[string]bool{}
	for _, f := range compose.Fields() {
		if f.Verdict != compose.Honoured || slices.Contains(kept, f.Path) {
			continue
		}
		honoured[f.Path] = true
		test, ok := proved[f.Path]
		switch {
		case !ok:
			t.Errorf("%s is honoured and no engine test proves it: name one in testdata/proofs.txt%s", f.Path, those(declared, f.Path))
		case declared[test] == nil:
			t.Errorf("%s: there is no test %s in %s", f.Path, test, engineTests)
		case !declared[test][f.Path]:
			t.Errorf("%s: no Compose file of %s declares it%s", f.Path, test, those(declared, f.Path))
		}
	}
	for path := range proved {
		if !honoured[path] {
			t.Errorf("testdata/proofs.txt: %s is no field that is honoured", path)
		}
	}
}

// those names the tests that declare a field, to choose from.
func those(declared map[string]map[string]bool, path string) string {
	var all []string
	for test, fields := range declared {
		if fields[path] {
			all = append(all, test)
		}
	}
	slices.Sort(all)
	return fmt.Sprintf("; it stands in %d tests: %s", len(all), strings.Join(all, " "))
}

// readProofs gives the test of each field: lines of fields below "== TEST".
func readProofs(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/proofs.txt")
	if err != nil {
		t.Fatal(err)
	}
	proved, test := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "== "); ok {
			test = name
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if proved[line] != "" {
			t.Errorf("testdata/proofs.txt: %s stands twice", line)
		}
		proved[line] = test
	}
	return proved
}

// declaredFields are the fields in the Compose files of each engine test: in
// its own texts, and in the constants and functions that it names.
func declaredFields(t *testing.T) map[string]map[string]bool {
	t.Helper()
	files, err := filepath.Glob(engineTests + "/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", engineTests, files, err)
	}
	set, all := token.NewFileSet(), source{}
	for _, file := range files {
		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		all.add(f)
	}
	declared := map[string]map[string]bool{}
	for name := range all {
		if strings.HasPrefix(name, "Test") {
			fields := map[string]bool{}
			for _, text := range all.texts(name, map[string]bool{}) {
				walkText(text, fields)
			}
			declared[name] = fields
		}
	}
	return declared
}

// source is what stands under each name of a package.
type source map[string][]ast.Node

func (s source) add(f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			s[d.Name.Name] = append(s[d.Name.Name], d.Body)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range v.Names {
						s[name.Name] = append(s[name.Name], v)
					}
				}
			}
		}
	}
}

// texts are the string literals below a name and below the names in it.
func (s source) texts(name string, seen map[string]bool) []string {
	if seen[name] {
		return nil
	}
	seen[name] = true
	var all []string
	for _, node := range s[name] {
		ast.Inspect(node, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					all = append(all, text)
				}
			case *ast.BinaryExpr:
				all = append(all, joined(n))
			case *ast.Ident:
				all = append(all, s.texts(n.Name, seen)...)
			}
			return true
		})
	}
	return all
}

// joined is the text that + makes, with 0 where something else comes in.
func joined(n ast.Expr) string {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		return joined(n.X) + joined(n.Y)
	case *ast.BasicLit:
		if text, err := strconv.Unquote(n.Value); err == nil {
			return text
		}
	}
	return "0"
}

var verb = regexp.MustCompile(`%(\[\d\])?[sdvq]`)

// walkText adds the fields of a text if it is a Compose file, or a piece of one
// that is put into a service.
func walkText(text string, fields map[string]bool) {
	var file map[string]any
	if yaml.Unmarshal([]byte(verb.ReplaceAllString(text, "0")), &file) != nil {
		return
	}
	if _, ok := file["services"]; ok {
		walk(file, "", fields)
		return
	}
	if _, ok := file["x-havre"]; ok {
		walk(file, "services.*", fields)
	}
}

func walk(value any, path string, fields map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			for _, at := range []string{key, "*"} {
				at = strings.TrimPrefix(path+"."+at, ".")
				fields[at] = true
				walk(below, at, fields)
			}
		}
	case []any:
		for _, below := range v {
			walk(below, path+"[]", fields)
		}
	}
}
