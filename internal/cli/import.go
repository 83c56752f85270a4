package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"havre/internal/adopt"
	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/dialect"
	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/role"
	"havre/internal/spec"
)

// taking is the flags of the commands that import.
type taking struct {
	data, project   string
	yes, binds, dry bool
}

func (o *taking) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.data, "data", role.DefaultData, "directory that Havre was started with")
	f.StringVarP(&o.project, "project", "p", "", "name of the project that it becomes")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.binds, "take-binds", false, "move mounted directories of the machine into volumes, too")
	f.BoolVar(&o.dry, "plan-only", false, "show what it would become and change nothing")
}

func newImportContainer(c *console) *cobra.Command {
	var o taking
	cmd := &cobra.Command{
		Use:     "container NAME…",
		Short:   "Make services of running containers, with their data",
		Long:    "The containers become one project, called as the first of them unless -p says otherwise.\n" + howImported,
		Example: "  sudo havre import container blog blog-db -p blog",
		Args:    takes(1, -1, "a NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			what := dockercall.ForeignList{}
			for _, name := range args {
				what.Containers = append(what.Containers, dockercall.Word(name))
			}
			return c.take(cmd.Context(), o, what, args[0])
		},
	}
	o.flags(cmd)
	return c.formats(cmd, "text", "json")
}

func newImportStack(c *console) *cobra.Command {
	var o taking
	cmd := &cobra.Command{
		Use:     "stack NAME",
		Short:   "Make a project of a docker stack, with its data",
		Long:    howImported,
		Example: "  sudo havre import stack shop",
		Args:    takes(1, 1, "one NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.take(cmd.Context(), o, dockercall.ForeignList{Stack: dockercall.Word(args[0])}, args[0])
		},
	}
	o.flags(cmd)
	return c.formats(cmd, "text", "json")
}

func newImportCompose(c *console) *cobra.Command {
	var o taking
	cmd := &cobra.Command{
		Use:   "compose DIR",
		Short: "Make a project of what docker compose started from a directory, with its data",
		Long: "Where nothing of it runs, its Compose file is applied as by havre apply.\n" +
			howImported,
		Example: "  sudo havre import compose /srv/shop",
		Args:    takes(1, 1, "one DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, name, err := composeIn(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			err = c.take(cmd.Context(), o, dockercall.ForeignList{Compose: dockercall.Word(name)}, name)
			if !errors.Is(err, errNothingRuns) {
				return err
			}
			want, err := c.read(cmd, declaration{files: []string{file}, project: o.project})
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if o.dry {
				return c.planned(cmd.Context(), cl, want, false)
			}
			return c.apply(cmd.Context(), cl, want, o.yes)
		},
	}
	o.flags(cmd)
	return c.formats(cmd, "text", "json")
}

const howImported = "Shows the Compose file that it would become and what would be otherwise, and asks. Then it stops the old\n" +
	"ones, moves the data of their volumes into Havre's without a copy where the file system allows it, and\n" +
	"starts them as services. If they do not get healthy, all goes back. Until havre import confirm the old\n" +
	"ones stay, stopped, and havre import undo goes back, with what was written meanwhile. Killed halfway, the\n" +
	"same command goes on. For root."

// composeIn finds the Compose file of a directory, and its project's name.
func composeIn(ctx context.Context, dir string) (file, name string, err error) {
	for _, base := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"} {
		file = filepath.Join(dir, base)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", "", err
		}
		read, err := dialect.Read(ctx, dialect.Request{Files: []string{file}, Env: variables(os.Environ())})
		if err != nil { // what runs may be imported all the same
			return file, strings.ToLower(filepath.Base(abs)), nil
		}
		return file, read.Project.Name, nil
	}
	return "", "", problem.New(problem.NotFound, "%s has no Compose file", dir).With("name a directory with compose.yml in it")
}

// errNothingRuns is said when docker compose runs nothing of a project.
var errNothingRuns = problem.New(problem.NotFound, "nothing of it runs")

// take imports what is found, or goes on with what was begun.
func (c *console) take(ctx context.Context, o taking, what dockercall.ForeignList, name string) error {
	if o.project != "" {
		name = o.project
	}
	env, err := c.ownEnvironment()
	if err != nil {
		return err
	}
	m, err := role.OpenImports(role.Layout{Data: o.data})
	if err != nil {
		return err
	}
	release, err := m.Hold(name)
	if err != nil {
		return err
	}
	defer release()
	run := c.importer(m)
	begun, err := m.Begun(name)
	switch {
	case err == nil && begun.Stage == adopt.Waiting:
		return problem.New(problem.Conflict, "%s was imported and waits to be confirmed", name).With("havre import confirm %s, or: havre import undo %s", name, name)
	case err == nil:
		c.note("going on with the import of %s", name)
		return c.carry(ctx, run, &begun)
	case problem.KindOf(err) != problem.NotFound:
		return err
	}
	found, err := m.Look(ctx, what)
	if err != nil {
		return err
	}
	if what.Compose != "" && len(found.Containers) == 0 {
		return errNothingRuns
	}
	if missing := len(what.Containers) - len(found.Containers); what.Containers != nil && missing != 0 {
		return problem.New(problem.NotFound, "%d of the named containers are not there", missing).With("list them with: docker ps -a")
	}
	if _, err := run.Projects.ID(ctx, env, name); problem.KindOf(err) != problem.NotFound {
		if err == nil {
			err = problem.New(problem.Conflict, "there is a project %s already", name).With("choose another name with -p")
		}
		return err
	}
	named, err := m.Names(ctx, env)
	if err != nil {
		return err
	}
	offer := adopt.From(found, adopt.Wish{Project: name, Environment: env, Named: named, TakeBinds: o.binds, File: smallFile})
	if err := c.offered(offer); err != nil || o.dry {
		return err
	}
	if err := c.confirm(ctx, o.yes, "Import this?"); err != nil {
		return err
	}
	return c.carry(ctx, run, &adopt.Import{
		Environment: env, Project: offer.Project, Began: time.Now().UTC(), Images: offer.Images, Objects: offer.Objects, Moves: offer.Moves,
	})
}

func (c *console) importer(m *role.Imports) adopt.Importer {
	t := c.teller()
	report := client.Report(func(p api.Progress) {
		if p.Service == nil || p.Service.State != "kept" {
			t.tell(p)
		}
	})
	tell := func(format string, args ...any) {
		if c.format != "json" {
			c.say(format, args...)
		}
	}
	return adopt.Importer{Engine: m, Projects: m.Projects(report), Journal: m, Tell: tell}
}

func (c *console) carry(ctx context.Context, run adopt.Importer, i *adopt.Import) error {
	err := run.Carry(ctx, i)
	if ctx.Err() != nil {
		c.note("\ninterrupted; the same command goes on, havre import undo %s goes back", i.Project.Name)
		return err
	}
	if err == nil && c.format != "json" {
		c.say("imported: look whether %s is right, then: havre import confirm %s", i.Project.Name, i.Project.Name)
		c.say("to go back: havre import undo %s", i.Project.Name)
	}
	return err
}

// offered shows what would be, and refuses what cannot be.
func (c *console) offered(o adopt.Offer) error {
	var wrong problem.List
	for _, r := range o.Refused {
		wrong = append(wrong, problem.New(problem.Invalid, "%s", r).With("change it before, or leave it out of the import"))
	}
	if len(wrong) > 0 {
		return coded{exitInput, wrong}
	}
	text, _, err := dialect.Write(o.Project)
	if err != nil || c.format == "json" {
		return err
	}
	c.say("%s", strings.TrimRight(string(text), "\n"))
	for _, m := range o.Moves {
		c.say("data: %s%s becomes the volume %s", m.From, m.Path, m.Name)
	}
	for _, old := range o.Objects {
		c.say("replaced: %s", old.Name)
	}
	for _, l := range o.Lost {
		c.say("otherwise: %s", l)
	}
	return nil
}

// smallFile reads a file that can travel with a project.
func smallFile(path string) ([]byte, bool) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > spec.MaxFile {
		return nil, false
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, false
	}
	defer f.Close() //nolint:errcheck // read, never written
	content, err := io.ReadAll(io.LimitReader(f, spec.MaxFile))
	return content, err == nil
}
