package bootstrap_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"havre/internal/bootstrap"
	"havre/internal/problem"
)

func TestFailuresAreExplained(t *testing.T) {
	for line, want := range map[string]problem.Kind{
		"E: Failed to fetch http://x/InRelease  404  Not Found [IP: 1.2.3.4 80]":             problem.NotFound,
		"E: The repository 'http://x sid Release' does not have a Release file.":             problem.NotFound,
		"E: Unable to locate package nonesuch":                                               problem.NotFound,
		"E: Failed to fetch http://x/InRelease  Could not resolve 'x'":                       problem.Unavailable,
		"E: Release file for http://x/InRelease is expired (invalid since 15d 0h 45min 23s)": problem.Unavailable,
		"E: Write error - write (28: No space left on device)":                               problem.Failed,
		"W: GPG error: http://x InRelease: NO_PUBKEY 0123456789ABCDEF":                       problem.Failed,
		"E: newuidmap failed":                            problem.Unavailable,
		"E: failed to parse /etc/subuid and /etc/subgid": problem.Unavailable,
		"E: something nobody has seen before":            problem.Failed,
	} {
		err := bootstrap.Heard(func(w io.Writer) { fmt.Fprintf(w, "I: running unshare\n%s\nE: mmdebstrap failed to run\n", line) }, func(string) {})
		p := problem.Of(err)
		if p.Kind != want || !strings.Contains(p.Says, strings.TrimPrefix(line, "E: ")) {
			t.Errorf("%s: %s: %s", line, p.Kind, p.Says)
		}
	}
}

func TestStepsAreToldAsTheyComeInPieces(t *testing.T) {
	var steps []string
	_ = bootstrap.Heard(func(w io.Writer) {
		for _, piece := range []string{"I: down", "loading packages...\r\nGet:1 http://x\nI: using /tmp/x as tempdir", "\n\nI: installing\n", strings.Repeat("x", 9000)} {
			if n, err := io.WriteString(w, piece); n != len(piece) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
	}, func(s string) { steps = append(steps, s) })
	if want := []string{"downloading packages", "installing"}; !slices.Equal(steps, want) {
		t.Errorf("steps are %q, want %q", steps, want)
	}
}
