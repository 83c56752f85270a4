package main

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"havre/internal/dockercall"
	"havre/internal/policy"
)

const root = "../.."

func every(t *testing.T) []mutation {
	t.Helper()
	all, err := lists("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryMutationFitsTheCodeAsItIs(t *testing.T) {
	for _, m := range every(t) {
		files, err := m.broken(root)
		if err != nil {
			t.Error(err)
		}
		for file, text := range files {
			if !strings.HasSuffix(file, ".go") {
				continue
			}
			if _, err := parser.ParseFile(token.NewFileSet(), file, text, 0); err != nil {
				t.Errorf("%s: what it leaves is no Go: %v", m.place, err)
			}
		}
	}
}

func TestEveryMutationAsksTestsThatExist(t *testing.T) {
	for _, m := range every(t) {
		for _, a := range m.tests {
			have := testsOf(t, filepath.Join(root, a.pkg))
			for _, name := range a.names {
				if name, _, _ = strings.Cut(name, "/"); !strings.Contains(have, "func "+name+"(") {
					t.Errorf("%s: %s has no %s", m.place, a.pkg, name)
				}
			}
		}
	}
}

// The tables say of each promise what was broken to see its test turn red.
func TestEveryMutationStandsInATable(t *testing.T) {
	tables := ""
	for _, doc := range []string{"promises.md", "guard.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs/design", doc))
		if err != nil {
			t.Fatal(err)
		}
		tables += string(text)
	}
	for _, m := range every(t) {
		if !strings.Contains(tables, m.says) {
			t.Errorf("%s: no table of docs/design says %q", m.place, m.says)
		}
	}
}

// The guard's table is these lists, line by line.
func TestTheGuardsTableSaysWhatIsTried(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/design/guard.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| rule taken out | turns red |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	said := strings.Split(table, "\n")
	var tried []string
	for _, m := range guards(t) {
		tried = append(tried, "| "+m.says+" | "+strings.Join(reds(m), ", ")+" |")
	}
	for _, row := range tried {
		if !slices.Contains(said, row) {
			t.Errorf("guard.md lacks %s", row)
		}
	}
	for _, row := range said {
		if !slices.Contains(tried, row) {
			t.Errorf("nobody tries %s", row)
		}
	}
}

func TestEveryRuleOfTheGuardIsTakenOut(t *testing.T) {
	tried := map[string]bool{}
	for _, m := range guards(t) {
		rule, _, _ := strings.Cut(m.says, ":")
		tried[rule] = true
	}
	for _, rule := range slices.Concat(dockercall.Rules, policy.Rules) {
		if !tried[string(rule)] {
			t.Errorf("no mutation takes out %s", rule)
		}
	}
}

// guards are the mutations of the guard's rules.
func guards(t *testing.T) []mutation {
	t.Helper()
	all, err := lists("testdata/guard_*.txt")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// reds are the tests of a mutation, as the guard's table names them.
func reds(m mutation) []string {
	var names []string
	for _, a := range m.tests {
		for _, name := range a.names {
			name = strings.TrimPrefix(name, "TestGuardWithstandsAHostileServer/")
			if a.engine {
				name += " (engine)"
			}
			names = append(names, name)
		}
	}
	return names
}

// testsOf is the text of all tests of a folder.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	return all
}

func TestListsAreReadStrictly(t *testing.T) {
	for text, says := range map[string]string{
		"file a.go\n":                               "before the first",
		"== a\nfile a.go\n-x\n":                     "asks nobody",
		"== a\ntest ./a TestA\n":                    "breaks nothing",
		"== a\n-x\nfile a.go\n":                     "belongs to no file",
		"== a\nfile a.go\n-x\ntest ./a\n":           "neither file, test, engine nor tree",
		"== a\nfile a.go\n-x\nwhatever ./a TestA\n": "neither file, test, engine nor tree",
	} {
		if _, err := parse("list", text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want: %s", text, err, says)
		}
	}
}

func TestEnginesAreAskedInACopyAboutWhatIsNotCompiled(t *testing.T) {
	ask := ask{engine: true}
	for file, want := range map[string]bool{"internal/a/a.go": false, "examples/mail/mail.json": true} {
		if got := (mutation{edits: []edit{{file: file}}}).inTree(ask); got != want {
			t.Errorf("%s: in a copy %v", file, got)
		}
	}
}

func TestCopyOfTheTreeLacksOnlyWhatIsHeavy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, want := range map[string]bool{"bin/a": false, ".git/a": false, "x/node_modules/a": false, "x/bin/a": true, "a": true} {
		file := filepath.Join(from, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("a"), 0o644), mutation{}.copyTree(from, to)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(to, name)); (err == nil) != want {
			t.Errorf("%s: %v; want it there: %v", name, err, want)
		}
	}
}

func TestLinesThatAreGoneOrStandTwiceAreSaid(t *testing.T) {
	e := edit{file: "a.go", old: []string{"one", "two"}, new: []string{"three"}}
	if got, err := e.apply("zero\n\tone\n\ttwo\nend"); err != nil || got != "zero\nthree\nend" {
		t.Errorf("got %q, %v", got, err)
	}
	for text, says := range map[string]string{"one\nend": "no longer", "one\ntwo\none\ntwo": "twice"} {
		if _, err := e.apply(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want: %s", text, err, says)
		}
	}
}

func TestCopyOfATreeHoldsTheBrokenFilesAmongTheOthers(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "tree")
	for name, text := range map[string]string{"a.txt": "one\ntwo\n", "b/c.txt": "three\n", ".git/d": "four\n"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o755), os.WriteFile(filepath.Join(from, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	m := mutation{edits: []edit{{file: "a.txt", old: []string{"two"}, new: []string{"2"}}}}
	if err := m.copyTree(from, to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.txt": "one\n2\n", "b/c.txt": "three\n", ".git/d": ""} {
		if got, err := os.ReadFile(filepath.Join(to, name)); string(got) != want || (err != nil) != (want == "") {
			t.Errorf("%s is %q, %v, not %q", name, got, err, want)
		}
	}
}

func TestOnlyTheTestsOwnFailureIsNoticed(t *testing.T) {
	for said, want := range map[string]bool{
		"--- FAIL: TestA (0.00s)\nFAIL":                                                       true,
		"    --- FAIL: TestA (0.00s)\nFAIL":                                                   true,
		"--- FAIL: TestAB (0.00s)\nFAIL":                                                      false,
		"FAIL\thavre/internal/a [build failed]\n":                                             false,
		"panic: test timed out after 4m0s\n":                                                  true,
		"--- FAIL: TestA (0.00s)\n    a_test.go:1: needs docker, as HAVRE_NEED says: no root": false,
	} {
		if got := noticed(said, "TestA"); got != want {
			t.Errorf("%q: noticed %v", said, got)
		}
	}
}
