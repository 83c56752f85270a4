package dialect_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/geard"
)

const composeIntro = `# Compose files: what becomes of each field

<!-- made from the table in internal/dialect/compose by: go test ./internal/dialect -update -->

Havre reads the Compose Specification. Each field is *honoured*, *warned* of (the app behaves as under docker compose without it;
the warning names the line) or *refused* (an error that names the line and a way out). Nothing is dropped silently: a field that the
specification does not have is an error with the nearest word. A field that is refused may have values that ask for what happens anyway;
those pass. An empty value asks for nothing and passes.

Of the fields below, %d are honoured, %d warned of and %d refused; what is below a field that is warned of or refused shares its lot.

- Several files (-f a.yml -f b.yml) are merged as docker compose does; !reset and !override work, also to take a refused field away.
- Variables come from the environment, then from .env in the project's directory; one that is not set is a warning with its line.
- A relative directory under volumes: (./data:/data) is kept data: a volume of the project that is named by the path. It begins empty, as
  docker makes it, or with what the directory has at the first apply. With :ro it is read when applied and uploaded, as a relative file
  is: at most 1000 KiB for a file, 200 files in a directory, 500 and 16 MiB in a project; a directory with more is a volume, too. What is uploaded, and all
  of a directory with :ro, cannot be written in the container. Links must stay inside.
- A volume without a name is called after its service and target: db_var_lib_data. It is kept like any other.
- A service without restart: runs always. One that others wait for to complete (service_completed_successfully) is not restarted.
- x-havre may stand on a service. Other x- keys are for other programs.
`

const geardIntro = `# geard deployment JSON: what becomes of each key

<!-- made from the table in internal/dialect/geard by: go test ./internal/dialect -update -->

A file is read as a deployment when it is a JSON object with a top-level key "containers". Letter case of keys does not matter; two keys
that differ only in case are an error. An unknown key is a warning: geard ignored it too. A value of another type is an error.

The project is called as the file, without its extension and without the time (.YYYYMMDD-HHMMSS) that geard put behind its state files;
a state file can be applied like any other.
`

// TestReferenceIsFresh keeps docs/reference as the tables are.
func TestReferenceIsFresh(t *testing.T) {
	fresh(t, "../../docs/reference/compose.md", composeReference())
	fresh(t, "../../docs/reference/geard.md", geardReference())
}

func fresh(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is stale (%v); run: go test ./internal/dialect -update", path, err)
	}
}

func composeReference() string {
	count := map[compose.Verdict]int{}
	var table strings.Builder
	section := ""
	for _, f := range compose.Fields() {
		count[f.Verdict]++
		top, name, isService := "Top level", f.Path, strings.HasPrefix(f.Path, "services.*.")
		if isService {
			top, name = "Services", strings.TrimPrefix(f.Path, "services.*.")
		}
		if top != section {
			fmt.Fprintf(&table, "\n## %s\n\n| field | verdict | what happens | way out |\n|---|---|---|---|\n", top)
			section = top
		}
		verdict := string(f.Verdict)
		if len(f.Fine) > 0 {
			verdict += " unless " + strings.Join(f.Fine, ", ")
		}
		if len(f.Mild) > 0 {
			verdict += "; warned with " + strings.Join(f.Mild, ", ")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, verdict, cell(f.Says), cell(f.Remedy))
	}
	return fmt.Sprintf(composeIntro, count[compose.Honoured], count[compose.Warned], count[compose.Refused]) + table.String()
}

func geardReference() string {
	var table strings.Builder
	table.WriteString("\n| key | type | what it does |\n|---|---|---|\n")
	for _, f := range geard.Fields {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", f.Path, f.Type, cell(f.Says))
	}
	return geardIntro + table.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
