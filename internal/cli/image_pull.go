package cli

import (
	"github.com/spf13/cobra"
)

func newImagePull(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull NAME",
		Short: "Take an image from its registry",
		Long: "The image is the environment's own from then on: NAME means it until it is pulled, built or loaded\n" +
			"again. apply does this by itself for images that the environment lacks. Registries are asked without\n" +
			"credentials.",
		Example: "  havre image pull debian:bookworm\n  havre image pull registry.example.org:5000/team/app:2",
		Args:    takes(1, 1, "the NAME of an image"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.ownEnvironment()
			if err != nil {
				return err
			}
			t := c.teller()
			made, err := cl.Pull(cmd.Context(), env, args[0], t.tell)
			if cmd.Context().Err() != nil {
				c.note("\ninterrupted; the pull goes on in the background")
				return err
			}
			if c.format == "json" {
				t.done(&made, err)
				return err
			}
			if err != nil {
				return err
			}
			return c.made(made)
		},
	}
	return c.formats(cmd, "text", "json")
}
