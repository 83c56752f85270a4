package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func newVolumeRm(c *console) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm NAME…",
		Short: "Remove volumes that no service has, for good",
		Args:  takes(1, -1, "at least one volume: PROJECT/VOLUME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.confirm(cmd.Context(), yes, "Remove "+strings.Join(args, ", ")+" and all data in it, for good?"); err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.environment()
			if err != nil {
				return err
			}
			for _, name := range args {
				gone, err := cl.RemoveVolume(cmd.Context(), env, name)
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
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c.formats(cmd, "text", "json")
}
