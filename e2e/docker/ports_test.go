package docker_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Tests that share a Havre share the machine's ports: the second to ask for
// one would wait for the first, or get its answers.
func TestNoTwoTestsUseOnePort(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	begin := regexp.MustCompile(`(?m)^func (Test\w+)`)
	port := regexp.MustCompile(`\b18\d{3}\b`)
	users := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests := begin.FindAllSubmatchIndex(text, -1)
		for i, at := range tests {
			end := len(text)
			if i+1 < len(tests) {
				end = tests[i+1][0]
			}
			name := string(text[at[2]:at[3]])
			for _, p := range port.FindAll(text[at[0]:end], -1) {
				if other, taken := users[string(p)]; taken && other != name {
					t.Errorf("%s and %s both use port %s", other, name, p)
				}
				users[string(p)] = name
			}
		}
	}
}
