package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
)

func newImageBuild(c *console) *cobra.Command {
	var o api.BuildOptions
	var file string
	cmd := &cobra.Command{
		Use:     "build -t NAME DIR",
		Short:   "Build an image from a Dockerfile",
		Long:    "Sends DIR, without what .dockerignore leaves out, and has the image built. A Dockerfile outside DIR\ncannot be used.",
		Example: "  havre image build -t mail:1 examples/mail",
		Args:    takes(1, 1, "the DIR of its context"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Name == "" {
				return usage(cmd, "the image has no name").With("give it one: -t NAME:TAG")
			}
			var err error
			if o.Args, err = c.buildArgs(cmd, o.Args); err != nil {
				return err
			}
			if o.Environment, err = c.ownEnvironment(); err != nil {
				return err
			}
			if o.Dockerfile, err = dockerfile(args[0], file, "name it with -f"); err != nil {
				return err
			}
			return c.build(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Name, "tag", "t", "", "name of the image")
	f.StringVarP(&file, "file", "f", "", "the Dockerfile (default: DIR/Dockerfile)")
	f.StringArrayVar(&o.Args, "build-arg", nil, "NAME=value, or NAME to pass on our own variable")
	f.StringVar(&o.Target, "target", "", "stage to stop at")
	f.BoolVar(&o.NoCache, "no-cache", false, "run every step again")
	return c.formats(cmd, "text", "json")
}

func (c *console) buildArgs(cmd *cobra.Command, args []string) ([]string, error) {
	for i, a := range args {
		if strings.Contains(a, "=") {
			continue
		}
		value := c.getenv(a)
		if value == "" {
			return nil, usage(cmd, "--build-arg %s has no value, and no variable of this name is set", a).With("write it as %s=value", a)
		}
		args[i] = a + "=" + value
	}
	return args, nil
}

// dockerfile is the Dockerfile's path in the context; otherwise says how
// another one is named.
func dockerfile(dir, file, otherwise string) (string, error) {
	if file == "" {
		file = filepath.Join(dir, "Dockerfile")
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", problem.New(problem.Invalid, "%s is no directory", dir).With("name the directory that holds what the Dockerfile copies")
	}
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return "", problem.New(problem.Invalid, "there is no Dockerfile %s", file).With("%s", otherwise)
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	whole, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(root, whole)
	if err != nil || !filepath.IsLocal(rel) {
		return "", problem.New(problem.Invalid, "%s is outside %s", file, dir).With("move it into the directory, or name a directory that holds both")
	}
	return filepath.ToSlash(rel), nil
}

// inContext is the path in its context of a Dockerfile that a Compose file
// names from there.
func inContext(dir, file string) (string, error) {
	if file != "" && !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return dockerfile(dir, file, "write it, or name another one: build: {context: DIR, dockerfile: FILE}")
}

func (c *console) build(ctx context.Context, dir string, o api.BuildOptions) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	made, err := c.send(ctx, cl, dir, o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if c.format == "json" {
		c.teller().done(&made, err)
		return err
	}
	if err != nil {
		return err
	}
	return c.made(made)
}

// send packs a context, has it built, and shows how that gets on.
func (c *console) send(ctx context.Context, cl *client.Client, dir string, o api.BuildOptions) (api.Image, error) {
	tree, err := newTree(dir, o.Dockerfile)
	if err != nil {
		return api.Image{}, err
	}
	body, feed := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := tree.pack(feed)
		feed.CloseWithError(err)
		packed <- err
	}()
	made, err := cl.Build(ctx, o, body, c.teller().tell)
	_ = body.Close() // ends pack where nobody reads on
	if bad := <-packed; bad != nil && !errors.Is(bad, io.ErrClosedPipe) {
		err = problem.New(problem.Invalid, "read %s", dir).Because(bad).With("make it readable, or leave it out by .dockerignore")
	}
	return made, err
}
