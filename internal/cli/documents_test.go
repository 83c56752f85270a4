package cli_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"havre/internal/cli"
)

// written is a command as somebody wrote it down.
type written struct {
	where string
	words []string
	whole bool // with all of its arguments, as in a block that one copies
}

var (
	inline  = regexp.MustCompile("`([^`\n]+)`")
	standIn = regexp.MustCompile(`(--[a-z-]+ )[A-Z]+`) // --rollout N
	remedy  = regexp.MustCompile("(?:: |: sudo |^|\")(havre [a-z]+[^\"`]*)\"")
)

// documents are all that people read, but for what is generated or of the past.
func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"docs/guide", "docs/operate", "docs/design", "docs/recipes", "examples", "changelog/unreleased"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() && strings.HasSuffix(path, ".md") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// commandsIn finds the calls of havre in a document.
func commandsIn(t *testing.T, file string) []written {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []written
	block, prompt := false, false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			block, prompt = !block, false
			continue
		}
		if block {
			call, prompted := strings.CutPrefix(strings.TrimSpace(line), "$ ")
			if prompt = prompt || prompted; prompted || !prompt { // what stands below a prompt is output
				found = append(found, calls(file, call, true)...)
			}
			continue
		}
		for _, m := range inline.FindAllStringSubmatch(line, -1) {
			found = append(found, calls(file, standIn.ReplaceAllString(m[1], "${1}1"), false)...)
		}
	}
	return found
}

// calls takes the calls of havre out of a line of a shell.
func calls(where, line string, whole bool) []written {
	var found []written
	for _, words := range shellCommands(line) {
		if len(words) > 0 && words[0] == "sudo" {
			words = words[1:]
		}
		if len(words) > 0 && (words[0] == "havre" || words[0] == "bin/havre") {
			found = append(found, written{where, words[1:], whole})
		}
	}
	return found
}

// shellCommands splits a line as a shell does, as far as documents need it: at
// pipes and their like, without redirections and comments.
func shellCommands(line string) [][]string {
	var all [][]string
	var words []string
	var word strings.Builder
	var quote rune
	begun := false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
scan:
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case c == '#' && !begun:
			break scan
		case c == ' ' || c == '\t' || c == '\n':
			end()
		case strings.ContainsRune("|&;()", c):
			end()
			all, words = append(all, words), nil
		default:
			word.WriteRune(c)
			begun = true
		}
	}
	end()
	all = append(all, words)
	for i, words := range all {
		all[i] = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "<") || strings.HasPrefix(w, ">") || w == "\\" })
	}
	return all
}

// wrong says what havre would complain of, without doing anything.
func (w written) wrong() error {
	root := cli.Root(nothing)
	cmd, rest, err := root.Find(w.words)
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && rest[0] != "…" {
		return fmt.Errorf("there is no such command")
	}
	if err := cmd.ParseFlags(rest); err != nil || !w.whole {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestEveryCommandInTheDocumentsIsTaken(t *testing.T) {
	seen := 0
	for _, file := range documents(t) {
		for _, w := range commandsIn(t, file) {
			seen++
			if err := w.wrong(); err != nil {
				t.Errorf("%s: havre %s: %v", strings.TrimPrefix(w.where, "../../"), strings.Join(w.words, " "), err)
			}
		}
	}
	if seen < 150 {
		t.Errorf("only %d commands were found", seen)
	}
}

// What a message says one should do is taken, too.
func TestEveryCommandInARemedyIsTaken(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range remedy.FindAllStringSubmatch(string(text), -1) {
			if strings.HasSuffix(path, "secret/key.go") {
				continue // names of keys, which look alike
			}
			first, _, _ := strings.Cut(m[1], ", ")
			if strings.HasSuffix(first, " ") {
				first += "1" // the text goes on with a value
			}
			for _, w := range calls(path, strings.TrimSuffix(first, `\r\n`), false) {
				seen++
				if err := w.wrong(); err != nil {
					t.Errorf("%s: %s: %v", strings.TrimPrefix(path, "../"), m[1], err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 40 {
		t.Errorf("only %d commands were found", seen)
	}
}
