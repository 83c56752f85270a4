package problem_test

import (
	"errors"
	"fmt"
	"testing"

	"havre/internal/problem"
)

func TestContextIsKeptAndKindSurvives(t *testing.T) {
	base := problem.New(problem.NotFound, "no image %s", "app:2").With("list them with: havre image ls")
	p := problem.Of(fmt.Errorf("deploy shop: %w", base))
	if p.Kind != problem.NotFound || p.Says != "deploy shop: no image app:2" || p.Remedy == "" {
		t.Errorf("got %+v", p)
	}
}

func TestUnknownErrorsAreInternal(t *testing.T) {
	if k := problem.KindOf(errors.New("boom")); k != problem.Internal {
		t.Errorf("kind = %s", k)
	}
	if problem.Of(nil) != nil || problem.KindOf(nil) != "" {
		t.Error("nil is not a problem")
	}
}

func TestKindCanBeAskedWithIs(t *testing.T) {
	err := fmt.Errorf("x: %w", problem.New(problem.Busy, "taken"))
	if !errors.Is(err, &problem.Problem{Kind: problem.Busy}) || errors.Is(err, &problem.Problem{Kind: problem.Denied}) {
		t.Error("Is must compare kinds alone")
	}
}

func TestPlaceIsNamedAsEditorsDo(t *testing.T) {
	p := problem.New(problem.Invalid, "unknown field %q", "imgae").At(problem.Place{File: "c.yml", Line: 3, Column: 5})
	if p.Error() != `c.yml:3:5: unknown field "imgae"` {
		t.Errorf("got %q", p.Error())
	}
}

func TestEmptyListIsNoError(t *testing.T) {
	if (problem.List{}).AsError() != nil {
		t.Error("an empty list must be nil as an error")
	}
	l := problem.List{problem.New(problem.Invalid, "a"), problem.New(problem.Invalid, "b")}
	if l.AsError().Error() != "a\nb" || problem.KindOf(l) != problem.Invalid {
		t.Errorf("got %v", l.AsError())
	}
}

func TestNearestWordIsFound(t *testing.T) {
	known := []string{"image", "init", "ports", "depends_on", "x-havre", "healthcheck"}
	for word, want := range map[string]string{
		"imgae": "image", "Image": "image", "port": "ports", "depend_on": "depends_on", "x-haver": "x-havre",
		"healtcheck": "healthcheck", "zebra": "", "": "", "unrelated_thing": "",
	} {
		if got := problem.Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
