package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/bootstrap"
)

func newImageBootstrap(c *console) *cobra.Command {
	var r bootstrap.Request
	cmd := &cobra.Command{
		Use:   "bootstrap NAME",
		Short: "Make a base image of a distribution's packages, without any registry",
		Long: "Makes a minimal Debian on this machine, with mmdebstrap, and loads it. debian:SUITE says the suite;\n" +
			"another NAME needs --suite. The same packages give the same image.",
		Example: "  havre image bootstrap debian:bookworm\n  havre image bootstrap base:1 --suite trixie --package ca-certificates",
		Args:    takes(1, 1, "the image's NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = args[0]
			if suite, is := strings.CutPrefix(r.Name, "debian:"); is && r.Suite == "" {
				r.Suite = suite
			}
			if r.Suite == "" {
				return usage(cmd, "%s does not say which release it is made of", r.Name).With("name the image debian:bookworm, or add --suite bookworm")
			}
			return c.bootstrap(cmd, r)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Suite, "suite", "", "release, as bookworm")
	f.StringArrayVar(&r.Packages, "package", nil, "one more package; may be given again")
	f.StringVar(&r.Mirror, "mirror", "", "URL of the packages (default: Debian's own)")
	f.StringVar(&r.Dir, "dir", "", "where to work; needs some 600 MB")
	return c.formats(cmd, "text", "json", "name")
}

func (c *console) bootstrap(cmd *cobra.Command, r bootstrap.Request) error {
	env, err := c.ownEnvironment()
	if err != nil {
		return err
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	// Minutes of work would be in vain without a server to take it.
	if _, err := cl.Version(cmd.Context()); err != nil {
		return err
	}
	r.Progress = func(text string) { c.note("%s", text) }
	archive, err := bootstrap.Debian(cmd.Context(), r)
	if err != nil {
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		return err
	}
	made, err := cl.Load(cmd.Context(), env, archive.Name, archive)
	if bad := archive.Close(); err == nil {
		err = bad
	}
	if err != nil {
		return err
	}
	return c.made(made)
}
