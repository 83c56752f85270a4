// Package havre_test holds the rules that the whole repository keeps.
package havre_test

import (
	"errors"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "havre/"

// tongues names the packages that may speak a foreign language. A name that
// ends in "/" stands for everything below it.
var tongues = map[string][]string{
	"database/sql":                           {"store"},
	"modernc.org/sqlite":                     {"store"},
	"github.com/pressly/goose/v3":            {"store"},
	"github.com/moby/moby/":                  {"swarm"},
	"github.com/containerd/errdefs":          {"swarm"},
	"github.com/moby/patternmatcher/":        {"cli"},
	"github.com/compose-spec/compose-go/v2/": {"dialect/compose"},
	"go.yaml.in/yaml/v4":                     {"dialect/compose", "dialect/normal"},
	"github.com/danielgtaylor/huma/v2/":      {"server"},
	"github.com/coder/websocket":             {"server", "client"},
	"net/http/httputil":                      {"ingress"},
	"github.com/klauspost/compress/":         {"ingress"},
	"github.com/pires/go-proxyproto":         {"ingress"},
	"golang.org/x/time/rate":                 {"ingress"},
	"golang.org/x/crypto/bcrypt":             {"ingress"},
	"golang.org/x/crypto/argon2":             {"ingress"},
	"golang.org/x/crypto/ssh":                {"gateway", "tunnel"},
	"golang.org/x/sync/errgroup":             {"role"},
	"golang.org/x/term":                      {"cli"},
	"github.com/spf13/cobra":                 {"cli"},
	"github.com/emersion/":                   {"mailsink", "e2e/mail"},
	"github.com/rogpeppe/go-internal/":       {"guard/guardtest"},
	"os/signal":                              {"cli", "role", "cmd/havre-portal", "lab/app"},
	"os/exec":                                {"cli", "role", "guard", "bootstrap", "lab", "server/servertest", "e2e/mutation"},
	"crypto/x509":                            {"cert", "client", "notify", "e2e/mail"},
	"plugin":                                 nil,
	"net/http/pprof":                         nil,
	"math/rand":                              nil,
	"golang.org/x/exp/":                      nil,
}

// crossing gives the reason of each arrow behind a "!" in arch.txt.
var crossing = map[string]string{}

// vague names say where code was put, not what it is.
var vague = []string{"util", "utils", "common", "helper", "helpers", "models", "types", "core", "base", "misc", "shared", "lib", "manager"}

func TestImportsFollowTheTable(t *testing.T) {
	arch := table(t)
	seen := map[string]bool{}
	for _, s := range sources(t) {
		seen[s.pkg] = true
		may, listed := arch.allowed[s.pkg]
		if owner, contract := owner(s.pkg); contract {
			may, listed = append(slices.Clone(arch.allowed[owner]), owner), true
		}
		if !listed {
			t.Errorf("%s: package %q is not in arch.txt; decide what it may import", s.path, s.pkg)
		}
		for _, imp := range s.file.Imports {
			p := strings.Trim(imp.Path.Value, `"`)
			if owners, foreign := speakers(p); foreign && !slices.Contains(owners, s.pkg) {
				t.Errorf("%s: only %v may import %s", s.set.Position(imp.Pos()), owners, p)
			}
			if ours, ok := strings.CutPrefix(p, module); ok && listed && !slices.Contains(may, short(ours)) {
				t.Errorf("%s: %s may not import %s; see ARCHITECTURE.md, \"Arrows\"", s.set.Position(imp.Pos()), s.pkg, short(ours))
			}
		}
	}
	for _, pkg := range arch.order {
		if !seen[pkg] {
			t.Errorf("arch.txt lists %q, which does not exist", pkg)
		}
	}
}

// owner is the package whose contract pkg holds: project of project/projecttest.
func owner(pkg string) (string, bool) {
	dir, name := path.Split(pkg)
	return path.Clean(dir), dir != "" && name == path.Base(dir)+"test"
}

// speakers are those who may import p.
func speakers(p string) ([]string, bool) {
	for tongue, who := range tongues {
		if p == strings.TrimSuffix(tongue, "/") || strings.HasSuffix(tongue, "/") && strings.HasPrefix(p, tongue) {
			return who, true
		}
	}
	return nil, false
}

func TestArrowsPointDown(t *testing.T) {
	arch := table(t)
	for _, from := range arch.order {
		for _, to := range arch.allowed[from] {
			rank, other := slices.Index(sections, arch.section[from]), slices.Index(sections, arch.section[to])
			reason, excused := crossing[from+" "+to]
			switch {
			case other < 0:
				t.Errorf("arch.txt: %s may import %q, which has no section", from, to)
			case arch.section[to] == "tests" && arch.section[from] != "tests":
				t.Errorf("arch.txt: %s would carry %s, which is for tests, into the program", from, to)
			case excused && !arch.marked[from+" "+to]:
				t.Errorf("arch.txt: put %s behind a \"!\" at %s: %s", to, from, reason)
			case excused:
			case arch.marked[from+" "+to]:
				t.Errorf("%s to %s is marked with \"!\" and has no reason in arch_test.go", from, to)
			case other < rank:
				t.Errorf("arch.txt: the arrow from %s up to %s", from, to)
			case other == rank && arch.section[from] == "edges":
				t.Errorf("arch.txt: edge %s may not import edge %s; let role join them", from, to)
			}
		}
	}
}

func TestPortalIsOfTheStandardLibrary(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.file.Imports {
			if p := strings.Trim(imp.Path.Value, `"`); s.pkg == "cmd/havre-portal" && strings.Contains(strings.Split(p, "/")[0], ".") {
				t.Errorf("%s: the portal may not import %s", s.path, p)
			}
		}
	}
}

func TestNamesSayWhatThingsAre(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(vague, path.Base(s.pkg)) {
			t.Errorf("%s: %q says nothing; name the thing", s.path, s.pkg)
		}
	}
}

func TestEveryPackageIntroducesItself(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		said[s.pkg] = said[s.pkg] || s.file.Doc != nil
	}
	for pkg, ok := range said {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
	}
}

// The map must show every house: it stands in ARCHITECTURE.md by its full name.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Log("there is no ARCHITECTURE.md yet")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range table(t).order {
		if !strings.Contains(string(text), "`"+pkg+"`") && !strings.Contains(string(text), "`internal/"+pkg+"`") {
			t.Errorf("ARCHITECTURE.md does not name %s", pkg)
		}
	}
}

func TestTestsDoNotSleep(t *testing.T) {
	clocked := map[string]bool{} // there the clock may be the test's own
	for _, s := range tests(t) {
		for _, i := range s.file.Imports {
			clocked[s.pkg] = clocked[s.pkg] || i.Path.Value == `"testing/synctest"`
		}
	}
	for _, s := range tests(t) {
		if clocked[s.pkg] {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok && calls(c, "time", "Sleep") {
				t.Errorf("%s: a test may not sleep; use testing/synctest, or ask until it is so", s.set.Position(n.Pos()))
			}
			return true
		})
	}
}

func TestTestsSkipOnlyInTheLab(t *testing.T) {
	for _, s := range tests(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || s.pkg == "lab" || excused[s.path+":"+f.Name.Name] != "" {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) { // of whatever: w.t.Skip skips, too
					t.Errorf("%s: a test may skip only by lab.Need, which fails where it must run", s.set.Position(n.Pos()))
				}
				return true
			})
		}
	}
}

// calls tells whether c is on.name(…).
func calls(c *ast.CallExpr, on, name string) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == on
}
