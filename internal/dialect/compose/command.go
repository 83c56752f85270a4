package compose

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// maxCommand is the most of a command that is one text: the library takes a
// time that grows with the square of it.
const maxCommand = 64 << 10

// command looks at a command that is one text before the library reads it. The
// library is no shell: it ends without a word where one would begin another
// command or open a file.
func (c *checker) command(n *yaml.Node, label string) {
	if len(n.Value) > maxCommand {
		c.Refuse(c.place(n), fmt.Sprintf("%s is longer than %d KiB", label, maxCommand>>10), "put it into a script, and run that")
		n.Value = "-"
		return
	}
	if at := operator(n.Value); at >= 0 {
		c.Warn(c.place(n), fmt.Sprintf("%s ends before %q, here as under docker compose: no shell reads it", label, shorten(n.Value[at:])),
			`put it in quotes where it is part of a word, or let a shell read it: ["sh", "-c", "…"]`)
	}
}

// operator finds where a shell would see another command or a file: at a
// ; & | < or > that is not quoted. -1 when there is none.
func operator(s string) int {
	var quote rune // the one that is open; ( stands for $(
	escaped := false
	for i, r := range s {
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote == 0 && strings.ContainsRune("'\"`", r):
			quote = r
		case quote == 0 && (r == ')' || r == '(' && strings.HasSuffix(s[:i], "$")):
			quote = '(' // the library begins at a ) too
		case quote == r && r != '(', quote == '(' && r == ')':
			quote = 0
		case quote == 0 && strings.ContainsRune(";&|<>", r):
			return i
		}
	}
	return -1
}

// words is a command. An entry point that was emptied on purpose is taken
// away; the engine takes the image's command away only together with it.
func (r *reader) words(name, field string, words types.ShellCommand, other types.ShellCommand) []string {
	n, at := r.look(name, field)
	if len(words) > 0 {
		return words
	}
	if n == nil || !empty(n) || n.Tag == "!!null" {
		return nil
	}
	switch {
	case len(other) == 0 && field == "command":
		r.Refuse(at, "an empty command takes the image's away only where an entrypoint is given", "write the entrypoint, too, or take it out")
	case len(other) == 0:
		r.Refuse(at, "an empty entrypoint leaves nothing to run without a command", "write the command, too, or take it out")
	case field == "entrypoint":
		return []string{""}
	}
	return nil
}
