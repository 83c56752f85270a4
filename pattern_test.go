package havre_test

import (
	"go/ast"
	"regexp"
	"strconv"
	"testing"
)

// Patterns are compiled when they are first asked: a bad one must not wait for
// the day on which that is.
func TestPatternsAreExpressions(t *testing.T) {
	seen := 0
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "New" {
				return true
			}
			if from, ok := f.X.(*ast.Ident); !ok || from.Name != "pattern" {
				return true
			}
			seen++
			text, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true // made of parts: the tests of its package ask it
			}
			expression, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := regexp.Compile(expression); err != nil {
				t.Errorf("%s:%d: %v", s.path, s.line(text.Pos()), err)
			}
			return true
		})
	}
	if seen < 40 {
		t.Errorf("only %d patterns were found", seen)
	}
}
