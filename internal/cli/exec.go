package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"havre/internal/api"
	"havre/internal/problem"
)

func newExec(c *console) *cobra.Command {
	var start api.ExecStart
	var env []string
	cmd := &cobra.Command{
		Use:   "exec [-it] NAME -- COMMAND…",
		Short: "Run a command in a container of a service",
		Long: "Runs a command in a container of a service and ends with its exit code; 125 says that it could not be\n" +
			"run. Standard input is passed on (-i) when it is a terminal, a file or a pipe, and the command gets a\n" +
			"terminal (-t) when standard input and output both are one; say -i=false or -t=false for less: in a\n" +
			"loop that reads lines (while read …) exec takes them otherwise.",
		Example: "  havre exec mail -- bash\n  havre exec shop.db -- psql < dump.sql",
		Args:    takes(2, -1, "a NAME and a COMMAND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			command := args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				return usage(cmd, "no command was given")
			}
			start.Command, start.Env = command, c.execEnv(env)
			if err := c.ends(cmd, &start); err != nil {
				return err
			}
			t, err := c.target(args[0])
			if err != nil {
				return err
			}
			return c.exec(cmd.Context(), t, start)
		},
		ValidArgsFunction: c.names,
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows NAME belongs to the command
	f.BoolVarP(&start.Stdin, "interactive", "i", false, "pass standard input on (default: when it is a terminal, a file or a pipe)")
	f.BoolVarP(&start.TTY, "tty", "t", false, "give the command a terminal (default: when input and output are terminals)")
	f.StringVarP(&start.User, "user", "u", "", "run it as USER or USER:GROUP")
	f.StringVarP(&start.Dir, "workdir", "w", "", "run it in this directory")
	f.StringArrayVarP(&env, "env-var", "e", nil, "set a variable: NAME=value, or NAME to pass on our own")
	f.IntVar(&start.Slot, "replica", 0, "which container, when there are several; 0 is any")
	return ownFailures(cmd)
}

// ownFailures gives a command whose exit code is another's a code of its own.
func ownFailures(cmd *cobra.Command) *cobra.Command {
	args, run := cmd.Args, cmd.RunE
	own := func(err error) error {
		if _, is := err.(coded); is || err == nil || errors.Is(err, context.Canceled) {
			return err
		}
		return coded{exitExec, err}
	}
	cmd.Args = func(cmd *cobra.Command, a []string) error { return own(args(cmd, a)) }
	cmd.RunE = func(cmd *cobra.Command, a []string) error { return own(run(cmd, a)) }
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return own(usage(cmd, "%s", err)) })
	return cmd
}

// execEnv takes variables without a value from our own environment, as docker
// does, and drops those that are not there.
func (c *console) execEnv(env []string) []string {
	var all []string
	for _, v := range env {
		if !strings.Contains(v, "=") {
			value := c.getenv(v)
			if value == "" {
				continue
			}
			v += "=" + value
		}
		all = append(all, v)
	}
	return all
}

// ends chooses -i and -t where the person did not.
func (c *console) ends(cmd *cobra.Command, start *api.ExecStart) error {
	in, out := terminal(c.in), terminal(c.out)
	if !cmd.Flags().Changed("interactive") {
		start.Stdin = in || given(c.in)
	}
	switch {
	case !cmd.Flags().Changed("tty"):
		start.TTY = in && out && start.Stdin
	case start.TTY && start.Stdin && !in:
		return usage(cmd, "-t needs a terminal, and standard input is none").With("leave -t out")
	}
	return nil
}

// given tells whether standard input is a file, a pipe or a connection, and not
// /dev/null or nothing at all.
func given(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && (info.Mode().IsRegular() || info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0)
}

// exec runs the command and ends as it ends.
func (c *console) exec(ctx context.Context, t api.Target, start api.ExecStart) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	s := api.ExecStreams{Out: c.out, Err: c.errs}
	if start.Stdin {
		s.In = c.in
	}
	if start.TTY {
		start.Size, s.Resize = c.sizes(ctx)
		restore, err := raw(c.in)
		if err != nil {
			return err
		}
		defer restore()
	}
	code, err := cl.Exec(ctx, t, start, s)
	if err != nil {
		return err
	}
	if code != 0 {
		return coded{code: code}
	}
	return nil
}

// raw lets every key through to the command, Ctrl-C too.
func raw(f *os.File) (restore func(), err error) {
	if !terminal(f) {
		return func() {}, nil
	}
	old, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, problem.New(problem.Failed, "set up the terminal").Because(err).With("leave -t out")
	}
	return func() { _ = term.Restore(int(f.Fd()), old) }, nil // there is nothing else to try
}

// sizes gives the terminal's size and then each new one, until ctx ends.
func (c *console) sizes(ctx context.Context) (api.Size, <-chan api.Size) {
	now := func() api.Size {
		cols, rows, err := term.GetSize(int(c.out.Fd()))
		if err != nil {
			return api.Size{}
		}
		return api.Size{Rows: uint16(rows), Cols: uint16(cols)} //nolint:gosec // the kernel keeps them in 16 bits
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	sizes := make(chan api.Size)
	go func() { // ends with the command, and that with the process
		defer signal.Stop(changed)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			select {
			case <-ctx.Done():
				return
			case sizes <- now():
			}
		}
	}()
	return now(), sizes
}
