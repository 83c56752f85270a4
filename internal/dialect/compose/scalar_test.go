package compose_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
)

// deep is the indentation of what belongs to an item of a command.
const deep = "        "

// scalars writes some lines in every style that YAML has for a text.
func scalars(lines []string) []string {
	indented := func(lines []string) string {
		var b strings.Builder
		for i, l := range lines {
			if i > 0 {
				b.WriteString("\n")
			}
			if l != "" && i > 0 {
				b.WriteString(deep)
			}
			b.WriteString(l)
		}
		return b.String()
	}
	all := []string{indented(lines)}
	single, double := slices.Clone(lines), slices.Clone(lines)
	for i, l := range lines {
		single[i] = strings.ReplaceAll(l, "'", "''")
		double[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(l)
	}
	all = append(all, "'"+indented(single)+"'", `"`+indented(double)+`"`, `"`+indented(lines)+`"`)
	block := indented(append([]string{""}, lines...))
	for _, header := range []string{"|", "|-", "|+", "|2", "|2-", "|2+", ">", ">-", ">+", ">2", ">2-", ">2+", "!!str >", "&a |", "!mine >"} {
		all = append(all, header+block)
	}
	return all
}

// everyScalar writes all texts of at most three lines of a kind.
func everyScalar() []string {
	kinds := []string{"a", "  deeper \\", "", "\ttab", "end ", "# e", "- f", "k: v", `"q" 'q'`, "é\\n"}
	var all []string
	for _, a := range kinds {
		all = append(all, scalars([]string{a})...)
		for _, b := range kinds {
			all = append(all, scalars([]string{a, b})...)
			for _, c := range kinds[:4] {
				all = append(all, scalars([]string{a, b, c})...)
			}
		}
	}
	return all
}

func asCommand(items []string) string {
	var b strings.Builder
	b.WriteString("services:\n  a:\n    image: app\n    command:\n")
	for _, item := range items {
		fmt.Fprintf(&b, "      - %s\n", item)
	}
	return b.String()
}

// isText tells whether YAML takes a scalar, and for a text.
func isText(scalar string) bool {
	var f struct {
		Services struct {
			A struct{ Command []any }
		}
	}
	if yaml.Unmarshal([]byte(asCommand([]string{scalar})), &f) != nil || len(f.Services.A.Command) != 1 {
		return false
	}
	_, text := f.Services.A.Command[0].(string)
	return text
}

func TestScalarsSayWhatTheySayToDockerCompose(t *testing.T) {
	var all []string
	for _, s := range everyScalar() {
		if isText(s) {
			all = append(all, s)
		}
	}
	if len(all) < 5000 {
		t.Fatalf("only %d scalars are texts", len(all))
	}
	for part := range slices.Chunk(all, 2000) {
		text := asCommand(part)
		p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{ConfigFiles: []types.ConfigFile{{Filename: "c.yml", Content: []byte(text)}}},
			func(o *loader.Options) { o.SetProjectName("x", true) })
		if err != nil {
			t.Fatal(err)
		}
		sameWords(t, part, readCommand(t, text), p.Services["a"].Command)
	}
}

// TestScalarsSayWhatTheySayToPyYAML has the answers of another reader in a
// table, since both of the former may err together.
func TestScalarsSayWhatTheySayToPyYAML(t *testing.T) {
	content, err := os.ReadFile("testdata/scalars.json")
	if err != nil {
		t.Fatal(err)
	}
	var table [][2]string
	if err := json.Unmarshal(content, &table); err != nil || len(table) < 300 {
		t.Fatal(len(table), err)
	}
	var written, want []string
	for _, row := range table {
		written, want = append(written, row[0]), append(want, row[1])
	}
	sameWords(t, written, readCommand(t, asCommand(written)), want)
}

func readCommand(t *testing.T, text string) []string {
	t.Helper()
	r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "c.yml", Content: []byte(text)}}})
	if len(r.Mistakes) > 0 {
		t.Fatal(r.Mistakes[0])
	}
	return r.Project.Services[0].Command
}

func sameWords(t *testing.T, written, got, want []string) {
	t.Helper()
	if len(got) != len(want) || len(got) != len(written) {
		t.Fatalf("%d words were written, %d read, %d wanted", len(written), len(got), len(want))
	}
	wrong := 0
	for i := range got {
		if got[i] != want[i] {
			if wrong++; wrong <= 10 {
				t.Errorf("%q is read as %q, want %q", written[i], got[i], want[i])
			}
		}
	}
	if wrong > 10 {
		t.Errorf("%d of %d are read otherwise", wrong, len(got))
	}
}
