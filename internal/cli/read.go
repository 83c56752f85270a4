package cli

import (
	"io"
	"maps"
	"os"
	"path/filepath"
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
	cmd.Flags().StringArrayVarP(&d.files, "file", "f", nil, "Compose file or deployment JSON, or a directory with one; - is standard input; several Compose files are merged (default: the Compose file of this directory, with its override)")
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
	files, err := d.named(cmd)
	if err != nil {
		return wish{}, err
	}
	request := dialect.Request{Files: files, Project: d.project, PortOffset: d.offset, Env: variables(os.Environ())}
	if slices.Contains(files, "-") {
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
	want := wish{Apply: api.Apply{Environment: env, Project: result.Project, Fills: offered(result.Fills)}, read: result, builds: result.Builds, fills: result.Fills}
	for _, name := range slices.Sorted(maps.Keys(result.Secrets)) {
		want.Secrets = append(want.Secrets, api.SecretValue{Name: name, Value: secret.Sent(result.Secrets[name].Reveal())})
	}
	return want, nil
}

// usual are the names that docker compose looks for, in its order, and those
// of the file that is merged into one of them.
var (
	usual     = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrides = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

// named are the files that are meant: without any those of this directory, and
// for a directory those in it.
// Errors: Invalid when there are none.
func (d declaration) named(cmd *cobra.Command) ([]string, error) {
	if len(d.files) == 0 {
		if files := composed("."); len(files) > 0 {
			return files, nil
		}
		return nil, usage(cmd, "no file is named, and this directory has none that is called %s", strings.Join(usual, " or ")).With("name one: %s -f FILE", cmd.CommandPath())
	}
	var all []string
	for _, name := range d.files {
		info, err := os.Stat(name)
		if name == "-" || err != nil || !info.IsDir() {
			all = append(all, name)
			continue
		}
		files := composed(name)
		if len(files) == 0 {
			return nil, usage(cmd, "the directory %s has no file that is called %s", name, strings.Join(usual, " or ")).With("name the file: %s -f FILE", cmd.CommandPath())
		}
		all = append(all, files...)
	}
	return all, nil
}

// composed are the Compose files of a directory.
func composed(dir string) []string {
	var found []string
	for _, names := range [][]string{usual, overrides} {
		for _, name := range names {
			info, err := os.Stat(filepath.Join(dir, name))
			if err == nil && !info.IsDir() {
				found = append(found, filepath.Join(dir, name))
				break
			}
		}
		if len(found) == 0 { // nothing to merge into
			break
		}
	}
	return found
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
