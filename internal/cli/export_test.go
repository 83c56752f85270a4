package cli

import (
	"os"

	"github.com/spf13/cobra"
)

// Root makes the tree of commands, with the environment of a test.
func Root(getenv func(string) string) *cobra.Command {
	return root(&console{in: os.Stdin, out: os.Stdout, errs: os.Stderr, getenv: getenv})
}

// Where tells which server is meant, and with what token.
func Where(getenv func(string) string) (url, token string, err error) {
	p, err := (&console{getenv: getenv}).context()
	if err != nil {
		return "", "", err
	}
	config, err := p.config()
	return config.URL, config.Token.Reveal(), err
}

// CodeOf is the exit code of an error.
func CodeOf(err error) int { return codeOf(err) }

// Clean is what is shown of others' words.
func Clean(s string) string { return clean(s) }

// JSON writes a value for programs.
func JSON(out *os.File, v any) error { return (&console{out: out}).json(v) }

// Target reads a NAME.
func Target(name, flag, variable string) (environment, plain string, project bool) {
	getenv := func(v string) string { return map[string]string{"HAVRE_ENV": variable}[v] }
	t, err := (&console{getenv: getenv, env: flag}).target(name)
	if err != nil {
		panic(err) // without files nothing can go wrong
	}
	return t.Environment, t.Name, t.Project
}

// Few is what a table shows of many addresses.
func Few(all []string) string { return few(all) }

// Fit is what a table shows on a terminal of a width.
func Fit(rows [][]string, width int) [][]string { return fit(rows, width) }
