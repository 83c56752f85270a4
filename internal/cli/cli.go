// Package cli is the command line: arguments, one call of the API, text or JSON.
package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"havre/internal/problem"
)

// version is set when a release is built, by -ldflags -X.
var version = "dev"

// Main carries out one command line and gives the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c := &console{in: os.Stdin, out: os.Stdout, errs: os.Stderr, getenv: os.Getenv}
	cmd := root(c)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	c.complain(err)
	return codeOf(err)
}

// root puts the commands of the table together.
func root(c *console) *cobra.Command {
	top := &cobra.Command{
		Use:   "havre",
		Short: "A harbour for containers: runs what you declare, always",
		Long: "Havre turns one machine into a private container platform: say what should run, and it runs always.\n\n" +
			"NAME is a service as SERVICE, PROJECT.SERVICE or ENVIRONMENT.PROJECT.SERVICE, whatever is unique;\n" +
			"PROJECT/ with a slash is a whole project. Exit codes: 0 done, 1 failed, 2 bad input and nothing was\n" +
			"changed, 3 refused, 4 not found.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          unknown,

		SuggestionsMinimumDistance: 2,
	}
	top.SetOut(c.out)
	top.SetErr(c.errs)
	top.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, "%s", err) })
	top.PersistentFlags().StringVar(&c.env, "env", "", "the environment; HAVRE_ENV and the saved context say it otherwise")
	var groups []*cobra.Group
	nouns := map[string]*cobra.Command{"": top}
	for _, r := range commands() {
		if len(groups) == 0 || groups[len(groups)-1].ID != r.group {
			groups = append(groups, &cobra.Group{ID: r.group, Title: r.group + ":"})
		}
		cmd := r.make(c)
		if r.noun == "" {
			cmd.GroupID = r.group
			nouns[cmd.Name()] = cmd
		}
		nouns[r.noun].AddCommand(cmd)
	}
	top.AddGroup(groups...)
	top.SetHelpCommandGroupID(machine)
	top.SetCompletionCommandGroupID(machine)
	top.InitDefaultHelpCmd()
	top.InitDefaultCompletionCmd()
	for _, cmd := range top.Commands() {
		if cmd.Name() == "completion" {
			reword(cmd)
		}
	}
	return top
}

// reword makes cobra's own command complain as ours do.
func reword(cmd *cobra.Command) {
	cmd.Short = "Write a script that completes commands and names in a shell"
	cmd.Args, cmd.RunE = cobra.ArbitraryArgs, unknown
	for _, shell := range cmd.Commands() {
		shell.Args = takes(0, 0, "nothing")
	}
}

// noun is a command that only holds others.
func noun(name, does string) func(*console) *cobra.Command {
	return func(*console) *cobra.Command {
		return &cobra.Command{Use: name, Short: does, Args: cobra.ArbitraryArgs, RunE: unknown, SuggestionsMinimumDistance: 2}
	}
}

// unknown shows what there is, or says that there is no such command.
func unknown(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	p := problem.New(problem.Invalid, "%s has no command %q", cmd.CommandPath(), args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return p.With("did you mean: %s %s", cmd.CommandPath(), near[0])
	}
	return p.With("list the commands with: %s --help", cmd.CommandPath())
}

// usage is a command line that cannot be understood.
func usage(cmd *cobra.Command, format string, args ...any) *problem.Problem {
	return problem.New(problem.Invalid, format, args...).With("see: %s --help", cmd.CommandPath())
}

// takes wants so many arguments; most is -1 for any number.
func takes(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(cmd, "%s needs %s", cmd.CommandPath(), what)
		case most == 0 && len(args) > 0:
			return usage(cmd, "%s takes no arguments, and %q is one", cmd.CommandPath(), args[0])
		case most >= 0 && len(args) > most:
			return usage(cmd, "%s takes %s, and %q is too many", cmd.CommandPath(), what, args[most])
		}
		return nil
	}
}
