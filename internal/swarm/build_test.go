package swarm_test

import (
	"slices"
	"strings"
	"testing"

	"havre/internal/swarm"
)

func TestBuildOutputComesInLines(t *testing.T) {
	var got []string
	stream := `{"stream":"Step 1/2 : FROM x\n"}{"stream":"one\ntw"}{"stream":"o\r\nthree"}{"aux":{"ID":"sha256:1"}}`
	if err := swarm.ReadStream(strings.NewReader(stream), func(l string) { got = append(got, l) }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"Step 1/2 : FROM x", "one", "two", "three"}; !slices.Equal(got, want) {
		t.Errorf("lines are %q, want %q", got, want)
	}
}

func TestErrorWithinABuildsOutputIsAnError(t *testing.T) {
	for _, stream := range []string{`{"errorDetail":{"code":1,"message":"no"},"error":"no"}`, `{"stream":`, `[]`} {
		if err := swarm.ReadStream(strings.NewReader(stream), func(string) {}); err == nil {
			t.Errorf("%s is no error", stream)
		}
	}
}
