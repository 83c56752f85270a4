package cli

import (
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/dialect"
	"havre/internal/problem"
	"havre/internal/secret"
)

// declaration is the flags that say what should be.
type declaration struct {
	files   []string
	project string
	offset  int
}

func (d *declaration) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&d.files, "file", "f", nil, "Compose file or deployment JSON; - is standard input; several Compose files are merged")
	cmd.Flags().StringVarP(&d.project, "project", "p", "", "name of the project, in place of the file's")
	cmd.Flags().IntVar(&d.offset, "port-offset", 0, "add this to every port of the machine")
}

// reading is GOGC from when files are read on: the library for Compose makes so
// much that lasts for a moment only that a fifth of the work was collecting it.
const reading = 400

// read reads the files on this machine, and tells what the person should know.
// Its errors are all bad input: nothing was asked of the server yet.
func (c *console) read(cmd *cobra.Command, d declaration) (wish, error) {
	env, err := c.ownEnvironment()
	if err != nil {
		return wish{}, err
	}
	if len(d.files) == 0 {
		return wish{}, usage(cmd, "no file is named").With("name one: %s -f compose.yml", cmd.CommandPath())
	}
	request := dialect.Request{Files: d.files, Project: d.project, PortOffset: d.offset, Env: variables(os.Environ())}
	if slices.Contains(d.files, "-") {
		if request.Stdin, err = io.ReadAll(c.in); err != nil {
			return wish{}, problem.New(problem.Invalid, "read standard input").Because(err)
		}
	}
	debug.SetGCPercent(reading)
	result, err := dialect.Read(cmd.Context(), request)
	for _, n := range result.Notes {
		c.noted(*n)
	}
	if err != nil {
		return wish{}, coded{exitInput, err}
	}
	want := wish{Apply: api.Apply{Environment: env, Project: result.Project}, read: result, builds: result.Builds}
	for _, name := range slices.Sorted(maps.Keys(result.Secrets)) {
		want.Secrets = append(want.Secrets, api.SecretValue{Name: name, Value: secret.Sent(result.Secrets[name].Reveal())})
	}
	return want, nil
}

// noted shows a warning.
func (c *console) noted(p problem.Problem) {
	c.note("note: %s", sentence(p))
	if p.Remedy != "" {
		c.note("  remedy: %s", p.Remedy)
	}
}

func variables(environ []string) map[string]string {
	all := make(map[string]string, len(environ))
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		all[name] = value
	}
	return all
}
