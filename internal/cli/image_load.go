package cli

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/problem"
)

func newImageLoad(c *console) *cobra.Command {
	var file, name string
	cmd := &cobra.Command{
		Use:     "load -i FILE",
		Short:   "Load an image from an archive, as docker save makes it",
		Example: "  docker save app:2 | havre image load -i -\n  havre image load -i base.tar.gz --name debian:bookworm",
		Args:    takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			archive, err := c.archive(cmd, file)
			if err != nil {
				return err
			}
			defer archive.Close() //nolint:errcheck // read, never written
			plain, err := unzipped(archive)
			if err != nil {
				return problem.New(problem.Invalid, "read %s", file).Because(err).With("name an archive that docker save made, gzipped or not")
			}
			if name == "" {
				spooled, err := spool(plain)
				if err != nil {
					return err
				}
				defer spooled.Close() //nolint:errcheck // it has no name any more
				if name, err = ownName(spooled); err != nil {
					return err
				}
				plain = spooled
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.ownEnvironment()
			if err != nil {
				return err
			}
			made, err := cl.Load(cmd.Context(), env, name, plain)
			if err != nil {
				return err
			}
			return c.made(made)
		},
	}
	cmd.Flags().StringVarP(&file, "input", "i", "", "the archive, gzipped or not; - is standard input")
	cmd.Flags().StringVar(&name, "name", "", "name of the image, in place of the archive's own")
	return c.formats(cmd, "text", "json", "name")
}

func (c *console) archive(cmd *cobra.Command, file string) (*os.File, error) {
	switch {
	case file == "":
		return nil, usage(cmd, "no archive is named").With("name one with -i; - is standard input")
	case file == "-" && terminal(c.in):
		return nil, usage(cmd, "an archive cannot be typed in").With("pipe it in, or name a file with -i")
	case file == "-":
		return c.in, nil
	}
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, problem.New(problem.Invalid, "open the archive").Because(err).With("name a readable file with -i")
	}
	return f, nil
}

// unzipped looks at the first bytes, not at the name.
func unzipped(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(b)
	}
	return b, nil
}

// made shows an image that has just come in.
func (c *console) made(i api.Image) error {
	switch c.format {
	case "json":
		return c.json(i)
	case "name":
		c.say("%s", i.Name)
	default:
		c.say("%s in %s is %s, %s", i.Name, i.Environment, short(i.ID), bytesize(i.Size))
	}
	return nil
}
