package havre_test

import (
	"slices"
	"strings"
	"testing"
)

// demanded are the lines by which CI comes to each check. Who takes one out
// turns the rest green for ever.
var demanded = map[string][]string{
	".ci/run":        {"set -euo pipefail", "export HAVRE_NEED=docker,browser", "make test", "script/demo-test.sh"},
	"script/test.sh": {"set -euo pipefail", "for stage in check docker-test; do", `make --no-print-directory "$stage"`},
	"Makefile": {
		"TEST := go test -race -shuffle=on -vet=off",
		"@script/check-format.sh", "go vet ./...", "go run $(STATICCHECK) ./...", "HAVRE_NEED= $(TEST) -short ./...",
		"HAVRE_BIN=$(CURDIR)/bin/havre $(TEST) -timeout 40m -parallel 5 $(AS_ROOT) $(addprefix ./,$(LAB))",
		"@script/test.sh",
	},
}

func TestCIMakesEveryCheck(t *testing.T) {
	for file, lines := range demanded {
		var there []string
		for line := range strings.Lines(read(t, file)) {
			there = append(there, strings.TrimSpace(line))
		}
		for _, line := range lines {
			if !slices.Contains(there, line) {
				t.Errorf("%s no longer has the line %q", file, line)
			}
		}
	}
}
