package dialect_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"havre/internal/dialect"
	"havre/internal/dialect/compose"
	"havre/internal/problem"
)

// TestCorpusReadsWithNoSilentLoss reads files as people have them. Each key
// of each must be honoured, or a note or mistake must stand at its line; what
// is said of them all is in testdata/corpus.golden.
func TestCorpusReadsWithNoSilentLoss(t *testing.T) {
	files, err := filepath.Glob("../../examples/compose/*.yml")
	if err != nil || len(files) < 60 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	want, err := filepath.Abs("testdata/corpus.golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../../examples/compose")
	var golden strings.Builder
	for _, file := range files {
		golden.WriteString(corpusFile(t, filepath.Base(file)))
	}
	fresh(t, want, golden.String())
}

// corpusFile reads one file and gives its part of the golden summary.
func corpusFile(t *testing.T, file string) string {
	t.Helper()
	result, err := dialect.Read(t.Context(), dialect.Request{Files: []string{file}, Project: strings.TrimSuffix(file, ".yml"), Env: map[string]string{"HOME": "/home/me"}})
	said := slices.Clone(result.Notes)
	mistakes := mistakes(t, err)
	if l, ok := err.(problem.List); ok {
		said = append(said, l...)
	}
	w := &corpusWalk{T: t, file: file, fields: map[string]compose.Field{}, said: said}
	for _, f := range compose.Fields() {
		w.fields[f.Path] = f
	}
	content, readErr := os.ReadFile(file)
	var root yaml.Node
	if readErr == nil {
		readErr = yaml.Unmarshal(content, &root)
	}
	if readErr != nil {
		t.Fatal(file, readErr)
	}
	w.value(root.Content[0], "")
	verdict := fmt.Sprintf("%d services, %d files", len(result.Project.Services), len(result.Project.Files))
	if err != nil {
		verdict = "refused"
	}
	return fmt.Sprintf("== %s: %s; %d keys honoured, %d told of\n%s%s", file, verdict, w.honoured, w.told, lines(result.Notes), mistakes)
}

// corpusWalk looks at a file by itself: at the keys, the table, and what was said.
type corpusWalk struct {
	*testing.T
	file           string
	fields         map[string]compose.Field
	said           []*problem.Problem
	honoured, told int
}

func (w *corpusWalk) value(n *yaml.Node, at string) {
	switch n.Kind {
	case yaml.AliasNode:
		w.value(n.Alias, at)
	case yaml.SequenceNode:
		for _, item := range n.Content {
			w.value(item, at+"[]")
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			w.key(n.Content[i], n.Content[i+1], at)
		}
	}
}

func (w *corpusWalk) key(key, value *yaml.Node, at string) {
	dot := at
	if at != "" {
		dot += "."
	}
	f, known := w.fields[dot+key.Value]
	if _, any := w.fields[dot+"*"]; !known && any {
		f, known = w.fields[dot+"*"]
	}
	switch {
	case key.Value == "<<" && value.Kind == yaml.SequenceNode:
		for _, item := range value.Content {
			w.value(item, at)
		}
	case key.Value == "<<":
		w.value(value, at)
	case strings.HasPrefix(key.Value, "x-") && !known:
	case !known && w.free(at):
		w.honoured++
	case known && f.Verdict == compose.Honoured:
		w.honoured++
		w.value(value, f.Path)
	case known && (slices.Contains(f.Fine, strings.ToLower(value.Value)) || value.Kind == yaml.MappingNode && len(value.Content) == 0):
		w.honoured++
	default:
		w.told++
		if !slices.ContainsFunc(w.said, func(p *problem.Problem) bool { return p.Where.Line == key.Line }) {
			w.Errorf("%s:%d: %s is lost and nothing is said", w.file, key.Line, dot+key.Value)
		}
	}
}

// free tells whether the names below a field are the person's.
func (w *corpusWalk) free(at string) bool {
	for path := range w.fields {
		if strings.HasPrefix(path, at+".") {
			return false
		}
	}
	return at != ""
}
