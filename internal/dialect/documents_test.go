package dialect_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"havre/internal/dialect"
)

var (
	example = regexp.MustCompile("(?s)\n```(?:yaml|json|)\n((?:name:|services:|\\{\"containers\").*?)\n```")
	besides = regexp.MustCompile(`\./[a-z_]+\.[a-z]+`)
)

// What people copy out of the documents is read without a mistake, as far as it
// is a file and not a piece of one.
func TestExamplesInTheDocumentsAreRead(t *testing.T) {
	files, err := filepath.Glob("../../docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../../README.md", "../../examples/mail/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range example.FindAllSubmatch(text, -1) {
			seen++
			readExample(t, strings.TrimPrefix(file, "../../"), string(m[1]))
		}
	}
	if seen < 10 {
		t.Errorf("only %d examples were found", seen)
	}
}

func readExample(t *testing.T, document, text string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := "compose.yml"
	if strings.HasPrefix(text, "{") {
		name = "shop.json"
	}
	for _, other := range besides.FindAllString(text, -1) {
		if err := os.WriteFile(filepath.Join(dir, other), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := dialect.Read(t.Context(), dialect.Request{Files: []string{file}}); err != nil {
		t.Errorf("%s: %v\n%s", document, mistakes(t, err), text)
	}
}
