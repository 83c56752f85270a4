package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/spec"
)

// console is what a command has to do with the world around it.
type console struct {
	in     *os.File
	out    *os.File
	errs   *os.File
	getenv func(string) string
	env    string // --env
	format string // -o
	wide   bool   // a table as wide as it is, also on a terminal
}

// client makes a client for the server that is meant.
func (c *console) client() (*client.Client, error) {
	where, err := c.context()
	if err != nil {
		return nil, err
	}
	config, err := where.config()
	if err != nil {
		return nil, err
	}
	return client.New(config)
}

// environment is the one that the person named somewhere, or "".
func (c *console) environment() (string, error) {
	if c.env != "" {
		return c.env, nil
	}
	if env := c.getenv("HAVRE_ENV"); env != "" {
		return env, nil
	}
	where, err := c.context()
	return where.Env, err
}

// ownEnvironment is environment with its default, for what must have one.
func (c *console) ownEnvironment() (string, error) {
	env, err := c.environment()
	if env == "" {
		env = spec.DefaultEnvironment
	}
	return env, err
}

// target reads a NAME.
func (c *console) target(name string) (api.Target, error) {
	plain, project := strings.CutSuffix(name, "/")
	t := api.Target{Name: plain, Project: project}
	full := 2
	if project {
		full = 1
	}
	if strings.Count(plain, ".") >= full && c.env == "" {
		return t, nil // the name says its environment itself
	}
	var err error
	t.Environment, err = c.environment()
	return t, err
}

// choice is a flag with few values.
type choice struct {
	value *string
	among []string
}

// String gives the value.
func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Set takes a value that is among the few.
func (c choice) Set(v string) error {
	if !slices.Contains(c.among, v) {
		return fmt.Errorf("it is one of %s", strings.Join(c.among, ", "))
	}
	*c.value = v
	return nil
}

// Type names them in the help.
func (c choice) Type() string { return strings.Join(c.among, "|") }

// formats gives a command the flag -o; the first form is the default.
func (c *console) formats(cmd *cobra.Command, forms ...string) *cobra.Command {
	cmd.PreRun = func(*cobra.Command, []string) {
		if c.format == "" {
			c.format = forms[0]
		}
		if c.format == "wide" {
			c.format, c.wide = "table", true
		}
	}
	if forms[0] == "table" {
		forms = slices.Insert(forms, 1, "wide")
	}
	cmd.Flags().VarP(choice{&c.format, forms}, "output", "o", "form of the output; "+forms[0]+" when it is not given")
	return cmd
}

// say writes a line for people.
func (c *console) say(format string, args ...any) { line(c.out, format, args...) }

// note writes a line that is not the result.
func (c *console) note(format string, args ...any) { line(c.errs, format, args...) }

// line writes what may hold words of others without letting them steer the
// terminal. Whoever closed our output does not want more, so errors go unsaid.
func line(to io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintln(to, clean(fmt.Sprintf(format, args...)))
}

// clean replaces what steers a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if steers(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// steers tells of control characters, but not of tabs and ends of lines; of
// those of Unicode of such as end a line, or turn the order of what is shown
// (UAX 9, 2).
func steers(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u061c' || r == '\u200e' || r == '\u200f' ||
		r >= '\u2028' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

func terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
