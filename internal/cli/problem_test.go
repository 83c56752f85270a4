package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"havre/internal/cli"
	"havre/internal/problem"
)

func TestEveryKindHasItsExitCode(t *testing.T) {
	of := func(kinds ...problem.Kind) error {
		var l problem.List
		for _, k := range kinds {
			l = append(l, problem.New(k, "it is so"))
		}
		return fmt.Errorf("do: %w", l)
	}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{of(problem.Failed), 1}, {of(problem.Unavailable), 1}, {of(problem.Busy), 1}, {of(problem.Internal), 1},
		{errors.New("of nobody"), 1},
		{of(problem.Invalid), 2}, {of(problem.Conflict), 2},
		{of(problem.Denied), 3}, {of(problem.NotFound), 4},
		{of(problem.NotFound, problem.NotFound), 4},
		{of(problem.NotFound, problem.Conflict), 2},
		{of(problem.Invalid, problem.Denied, problem.NotFound), 2},
		{of(problem.NotFound, problem.Failed), 1}, {of(problem.Failed, problem.Invalid, problem.NotFound), 1},
		{fmt.Errorf("ask: %w", context.Canceled), 130},
	} {
		if got := cli.CodeOf(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestOthersWordsDoNotSteerTheTerminal(t *testing.T) {
	got := cli.Clean("a\x1b[2Jb\rc\u009b1md\x7f\ttab\nline é 漢 x\u202ey\u2066z\u2029 שלום")
	if want := "a\uFFFD[2Jb\uFFFDc\uFFFD1md\uFFFD\ttab\nline é 漢 x\uFFFDy\uFFFDz\uFFFD שלום"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestJSONDoesNotSteerTheTerminal(t *testing.T) {
	const words = "a\x1b[2Jb\u009b1md\x7f\u202ey\u2066z\u2029 é 漢 <&>"
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	if err := cli.JSON(out, words); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if want := `"a\u001b[2Jb\u009b1md\u007f\u202ey\u2066z\u2029 é 漢 <&>"` + "\n"; err != nil || string(text) != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	var back string
	if err := json.Unmarshal(text, &back); err != nil || back != words {
		t.Errorf("it is read as %q, %v", back, err)
	}
}

func TestANameMaySayItsEnvironmentItself(t *testing.T) {
	for _, c := range []struct {
		name, flag, variable string
		env, plain           string
		project              bool
	}{
		{"web", "", "", "", "web", false},
		{"web", "", "dev", "dev", "web", false},
		{"shop.web", "qualif", "dev", "qualif", "shop.web", false},
		{"prod.shop.web", "", "dev", "", "prod.shop.web", false},
		{"prod.shop.web", "qualif", "", "qualif", "prod.shop.web", false}, // which the server finds nowhere
		{"shop/", "", "dev", "dev", "shop", true},
		{"prod.shop/", "", "dev", "", "prod.shop", true},
	} {
		env, plain, project := cli.Target(c.name, c.flag, c.variable)
		if env != c.env || plain != c.plain || project != c.project {
			t.Errorf("%+v: %q, %q, %v", c, env, plain, project)
		}
	}
}
