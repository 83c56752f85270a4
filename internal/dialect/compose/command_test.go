package compose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
)

// TestWhatTheLibraryDropsOfACommandIsTold puts words together in all ways. The
// library must read those of which nothing is said to their end.
func TestWhatTheLibraryDropsOfACommandIsTold(t *testing.T) {
	pieces := []string{"a", " ", "&", `"`, "'", `\`, "$(", ")", "`", "2>c"}
	var commands []string
	for _, a := range pieces {
		for _, b := range pieces {
			for _, c := range pieces {
				for _, d := range []string{"", "|"} {
					if s := "w" + a + b + c + d; library(s) != nil && library(s+" END") != nil {
						commands = append(commands, s+" END")
					}
				}
			}
		}
	}
	if len(commands) < 200 {
		t.Fatalf("only %d commands", len(commands))
	}
	var text strings.Builder
	text.WriteString("services:\n")
	for i, s := range commands {
		fmt.Fprintf(&text, "  s%d: {image: a, command: '%s'}\n", i, strings.ReplaceAll(strings.ReplaceAll(s, "'", "''"), "$", "$$"))
	}
	r := compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "c.yml", Content: []byte(text.String())}}})
	if len(r.Mistakes) > 0 {
		t.Fatal(r.Mistakes[0])
	}
	told := map[int]bool{}
	for _, n := range r.Notes {
		told[n.Where.Line-2] = true
	}
	for i, s := range commands {
		words := library(s)
		whole := len(words) > 0 && strings.HasSuffix(words[len(words)-1], "END")
		if told[i] == whole {
			t.Errorf("%s is read as %q; told of: %v", s, words, told[i])
		}
	}
}

func library(s string) []string {
	var words types.ShellCommand
	if words.DecodeMapstructure(s) != nil {
		return nil
	}
	return slices.Clone(words)
}

func TestCommandOfAnyLengthIsReadSoon(t *testing.T) {
	r := read(t, "services: {a: {image: a, command: "+strings.Repeat("x", 3<<20)+"}}")
	if len(r.Mistakes) != 1 || !strings.Contains(r.Mistakes[0].Says, "longer than 64 KiB") {
		t.Error(r.Mistakes)
	}
}
