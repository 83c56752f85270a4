package havre_test

import (
	"go/ast"
	"strings"
	"testing"
)

// What is larger needs its reason in excused.
const (
	maxFile   = 600
	maxFunc   = 100
	maxParams = 4
	maxFiles  = 25
	maxAsked  = 5 // methods of an interface
)

// excused gives the reason why something may break a rule: a package, a file,
// "file:function", or "file:interface".
var excused = map[string]string{
	"cli": "a file for each command",

	"e2e/guard/world_test.go:must":            asks,
	"e2e/mail/imap_test.go:put":               asks,
	"e2e/mail/prove.go:Prove":                 "takes what a demo knows of a mail server, once",
	"internal/cert/authority_test.go:trusted": asks,
	"internal/guard/engine.go:post":           sends,
	"internal/guard/facts.go:lookUp":          sends,
	"internal/role/control.go:ask":            sends,
	"internal/role/backend.go:newBackend":     "wires all pieces; each comes from a line of its own in runServer",
	"internal/role/keep.go:keep":              "is called once, by the supervisor, with what it has at hand",
	"internal/swarm/frame.go:yieldFrame":      "is the loop body of its neighbour",

	"internal/deploy/log.go:Logs":       pipe,
	"internal/deploy/log.go:followLogs": pipe,

	"e2e/script/cli_test.go:TestCommands":  "its scripts have the names",
	"internal/swarm/exec_test.go:TestExec": "its cases have the names",

	"internal/ingress/child_test.go:startNobody":                        fails,
	"internal/ingress/netns_test.go:inNetns":                            fails,
	"internal/portal/world_test.go:newNamespace":                        fails,
	"internal/ingress/netns_test.go:TestMachineWithoutIPv6Serves":       kernel,
	"internal/ingress/child_test.go:TestMissingRightToALowPortIsSaid":   kernel,
	"internal/dialect/compose/upload_test.go:TestSocketsAreNotUploaded": kernel,
	"internal/server/auth_test.go:TestRootNeedsNoTokenOnTheSocket":      "tries what anyone can before it skips what only root can",
}

// Reasons that several share.
const (
	pipe   = "context, target, options, and both ends of the pipe"
	asks   = "a test's own shorthand"
	sends  = "context, where, what, and the answer's place: each call has them all"
	fails  = "it fails, too, where HAVRE_NEED says that it must run"
	kernel = "of a machine that is not so there is nothing to say"
)

func TestNothingIsTooLong(t *testing.T) {
	for _, s := range append(sources(t), tests(t)...) {
		if s.lines > maxFile && excused[s.path] == "" {
			t.Errorf("%s has %d lines (most: %d); split it by noun or excuse it", s.path, s.lines, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || excused[s.path+":"+f.Name.Name] != "" {
				continue
			}
			if n := s.line(f.End()) - s.line(f.Pos()) + 1; n > maxFunc {
				t.Errorf("%s: %s has %d lines (most: %d)", s.path, f.Name.Name, n, maxFunc)
			}
			if n := f.Type.Params.NumFields(); n > maxParams {
				t.Errorf("%s: %s has %d parameters (most: %d); use a struct", s.path, f.Name.Name, n, maxParams)
			}
		}
	}
}

// An excuse that nobody needs any more hides the next one.
func TestExcusesNameWhatThereIs(t *testing.T) {
	there := map[string]bool{}
	for _, s := range append(sources(t), tests(t)...) {
		there[s.pkg], there[s.path] = true, true
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.FuncDecl:
				there[s.path+":"+x.Name.Name] = true
			case *ast.TypeSpec:
				there[s.path+":"+x.Name.Name] = true
			}
			return true
		})
	}
	for what := range excused {
		if !there[what] {
			t.Errorf("%s is excused and does not exist", what)
		}
	}
}

func TestInterfacesAreSmall(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if i, ok := spec.Type.(*ast.InterfaceType); ok && i.Methods.NumFields() > maxAsked && excused[s.path+":"+spec.Name.Name] == "" {
				t.Errorf("%s: %s asks for %d methods (most: %d)", s.path, spec.Name.Name, i.Methods.NumFields(), maxAsked)
			}
			return true
		})
	}
}

func TestPackagesHaveFewFiles(t *testing.T) {
	count := map[string]int{}
	for _, s := range sources(t) {
		count[s.pkg]++
	}
	for pkg, n := range count {
		if n > maxFiles && excused[pkg] == "" {
			t.Errorf("package %s has %d files (most: %d)", pkg, n, maxFiles)
		}
	}
}

func TestNothingHappensInHiding(t *testing.T) {
	for _, s := range append(sources(t), tests(t)...) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init runs in hiding; write a table in plain sight", s.path)
			}
		}
	}
}

func TestEveryExportedNameIsExplained(t *testing.T) {
	for _, s := range sources(t) {
		var above ast.Decl
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && !s.explained(f, above) {
				t.Errorf("%s:%d: %s has no comment", s.path, s.line(f.Pos()), f.Name.Name)
			}
			if g, ok := d.(*ast.GenDecl); ok {
				for _, name := range unexplained(g) {
					t.Errorf("%s:%d: %s has no comment", s.path, s.line(g.Pos()), name)
				}
			}
			above = d
		}
	}
}

// explained tells whether f needs no comment or has one. In a block of
// functions without blank lines the first one's comment is for all.
func (s source) explained(f *ast.FuncDecl, above ast.Decl) bool {
	if !f.Name.IsExported() || f.Doc != nil || f.Recv != nil && !ast.IsExported(receiver(f)) {
		return true
	}
	before, ok := above.(*ast.FuncDecl)
	return ok && s.line(before.End())+1 == s.line(f.Pos())
}

func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	for {
		switch x := of.(type) {
		case *ast.StarExpr:
			of = x.X
		case *ast.IndexExpr:
			of = x.X
		case *ast.IndexListExpr:
			of = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// unexplained are the exported names of a declaration that neither it nor
// their own line says anything about.
func unexplained(g *ast.GenDecl) []string {
	var names []string
	for _, spec := range g.Specs {
		switch x := spec.(type) {
		case *ast.TypeSpec:
			if x.Name.IsExported() && g.Doc == nil && x.Doc == nil && x.Comment == nil {
				names = append(names, x.Name.Name)
			}
		case *ast.ValueSpec:
			for _, n := range x.Names {
				if n.IsExported() && g.Doc == nil && x.Doc == nil && x.Comment == nil {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// A test's name is a sentence, so it has more than two words or says of what
// kind it is.
func TestTestsAreNamedAsSentences(t *testing.T) {
	for _, s := range tests(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || f.Name.Name == "TestMain" || !strings.HasPrefix(f.Name.Name, "Test") || excused[s.path+":"+f.Name.Name] != "" {
				continue
			}
			if strings.Contains(f.Name.Name, "_") || words(f.Name.Name[len("Test"):]) < 2 {
				t.Errorf("%s: %s is not a sentence", s.path, f.Name.Name)
			}
		}
	}
}

func words(name string) int {
	n := 0
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			n++
		}
	}
	return n
}
