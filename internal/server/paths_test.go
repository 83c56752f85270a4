package server_test

import (
	"bytes"
	"context"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/server"
)

var update = flag.Bool("update", false, "write generated files afresh")

// declared reads the paths of package api from its source.
func declared(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../api/api.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(v.Names[0].Name, "Path") {
			return true
		}
		p, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
		return true
	})
	return all
}

func TestEveryPathIsServedAndCalled(t *testing.T) {
	want := declared(t)
	if len(want) < 20 {
		t.Fatalf("found only %v in package api", want)
	}
	if got := server.Paths(); !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("served %v\nwant %v", got, want)
	}
	if got := called(t, want); !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("called %v\nwant %v", got, want)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// called notes which paths the client's methods ask for. Every method with a
// target is called for a service and for a project.
func called(t *testing.T, paths []string) []string {
	var mu sync.Mutex
	seen := map[string]bool{}
	mux := http.NewServeMux()
	for _, p := range paths {
		mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			seen[p] = true
		})
	}
	srv := httptest.NewServer(mux)
	defer srv.Close()
	c, err := client.New(client.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	methods := reflect.ValueOf(c)
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		for _, project := range []bool{false, true} {
			m.Call(arguments(m.Type(), project)) // the empty answers are of no interest
		}
	}
	var all []string
	for p := range seen {
		all = append(all, p)
	}
	return all
}

func arguments(m reflect.Type, project bool) []reflect.Value {
	var args []reflect.Value
	for i := range m.NumIn() {
		switch in := m.In(i); in {
		case reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(context.Background()))
		case reflect.TypeFor[api.Target]():
			args = append(args, reflect.ValueOf(api.Target{Name: "x", Project: project}))
		default:
			if in.Kind() == reflect.String {
				args = append(args, reflect.ValueOf("x"))
			} else {
				args = append(args, reflect.Zero(in))
			}
		}
	}
	return args
}

func TestDocumentIsFresh(t *testing.T) {
	const file = "../../docs/reference/openapi.json"
	want, err := server.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("../../docs/reference", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is stale (%v); write it with: go test ./internal/server -update", file, err)
	}
}

func TestDocumentIsServed(t *testing.T) {
	w := open(t, nil)
	got, err := w.caller(t).OpenAPI(t.Context())
	want, _ := server.OpenAPI()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %.100s, %v", got, err)
	}
}
