package cli

import "github.com/spf13/cobra"

func newImageRm(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rm NAME…",
		Short: "Remove images that nothing uses",
		Args:  takes(1, -1, "at least one image's NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.ownEnvironment()
			if err != nil {
				return err
			}
			for _, name := range args {
				gone, err := cl.RemoveImage(cmd.Context(), env, name)
				if err != nil {
					return err
				}
				if err := c.removed(gone); err != nil {
					return err
				}
			}
			return nil
		},
	}
	return c.formats(cmd, "text", "json")
}
