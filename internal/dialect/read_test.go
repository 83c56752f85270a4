package dialect_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/dialect"
	"havre/internal/problem"
)

func TestReadingEndsWhenItsContextDoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := dialect.Read(ctx, dialect.Request{Files: []string{"-"}, Stdin: []byte("services: {a: {image: a}}")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNoFilesIsAMistake(t *testing.T) {
	if _, err := dialect.Read(t.Context(), dialect.Request{}); problem.KindOf(err) != problem.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestMissingFilesAreNotFound(t *testing.T) {
	_, err := dialect.Read(t.Context(), dialect.Request{Files: []string{"/nowhere/a.yml", "/nowhere/b.yml"}})
	if l, ok := err.(problem.List); !ok || len(l) != 2 || l[0].Kind != problem.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestTheCallersVariablesGoBeforeDotEnv(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{".env": "A=file\nB=file\n", "c.yml": "services: {web: {image: \"$A:$B\"}}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := dialect.Read(t.Context(), dialect.Request{
		Files: []string{filepath.Join(dir, "c.yml")}, Project: "x", Env: map[string]string{"A": "caller"},
	})
	if err != nil || r.Project.Services[0].Image != "caller:file" || r.Dialect != dialect.Compose {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAFileWithManyAliasesIsRefusedSoon(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for _, pair := range []string{"10", "21", "32", "43", "54", "65", "76", "87"} {
		b.WriteString("a" + pair[:1] + ": &a" + pair[:1] + " [" + strings.Repeat("*a"+pair[1:]+",", 9) + "*a" + pair[1:] + "]\n")
	}
	b.WriteString("services: {a: {image: a}}\n")
	_, err := dialect.Read(t.Context(), dialect.Request{Files: []string{"-"}, Stdin: []byte(b.String()), Project: "x"})
	if err == nil || !strings.Contains(err.Error(), "too large once its aliases are followed") {
		t.Errorf("got %v", err)
	}
}
