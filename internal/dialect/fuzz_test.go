package dialect_test

import (
	"os"
	"path/filepath"
	"runtime/metrics"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"havre/internal/dialect"
	"havre/internal/problem"
	"havre/internal/spec"
)

// seeds adds the inputs of all archives.
func seeds(f *testing.F) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		f.Fatalf("no archives: %v", err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
}

// FuzzGeard and FuzzCompose feed one text to the reader: whatever it is, either
// a valid project or problems come out, of bounded work.
func FuzzGeard(f *testing.F) {
	seeds(f)
	f.Add([]byte(`{"containers":[{"name":"a","NAME":"b"}]}`))
	f.Add([]byte(`{"Containers":[[[[[[[[[`))
	f.Add([]byte(`{"containers":[{"name":"a","count":1,"image":"a","publicports":[{"internal":1,"external":70},{"internal":2,"external":70}]}]}`))
	f.Fuzz(func(t *testing.T, content []byte) { judge(t, content) })
}

// FuzzCompose looks for panics of the YAML and Compose libraries too.
func FuzzCompose(f *testing.F) {
	seeds(f)
	f.Add([]byte("services: {a: {image: x, command: ${A:-${B:-${C}}}}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("services: {a: {image: x, ports: ['70:1', '70:2']}}"))
	f.Add([]byte("a: &a {<<: *a}\nservices: *a"))
	f.Add([]byte("services:\n  a: {image: x, ports: ['1-65535:1-65535']}"))
	f.Add([]byte("services: {a: {extends: a}}"))
	f.Add([]byte("services: {a: {image: x, ports: !reset [], environment: !override {}}}"))
	f.Fuzz(func(t *testing.T, content []byte) { judge(t, content) })
}

// allocated is how many bytes this process has ever taken: the measure of what
// a text may cost, which no busy machine changes.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func judge(t *testing.T, content []byte) {
	dir := filepath.Join(os.TempDir(), "havre-dialect-fuzz-nothing-is-here")
	before := allocated()
	result, err := dialect.Read(t.Context(), dialect.Request{Files: []string{"-"}, Stdin: content, Dir: dir, Project: "fuzz"})
	if made := allocated() - before; made > 256<<20 {
		t.Errorf("%d bytes were made of %d", made, len(content))
	}
	if err == nil {
		if wrong := spec.Validate(result.Project); len(wrong) > 0 {
			t.Errorf("let through: %v", wrong[0].Problem)
		}
		isAgain(t, "fuzz", result.Project)
		return
	}
	l, ok := err.(problem.List)
	if !ok || len(l) == 0 {
		t.Fatalf("not a list of problems: %v", err)
	}
	for _, p := range l {
		if p.Says == "" || p.Remedy == "" {
			t.Errorf("a problem without words: %+v", p)
		}
	}
}
