package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func newSecretRm(c *console) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm NAME…",
		Short: "Remove secrets that no service uses",
		Long: "Takes secrets from the environment. Former rollouts that used one keep its value, so that one can still\n" +
			"go back to them.",
		Args:              takes(1, -1, "at least one secret's NAME"),
		ValidArgsFunction: c.secretNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.ownEnvironment()
			if err != nil {
				return err
			}
			if err := c.confirm(cmd.Context(), yes, "Remove "+strings.Join(args, ", ")+"? What they hold cannot be had back."); err != nil {
				return err
			}
			for _, name := range args {
				gone, err := cl.RemoveSecret(cmd.Context(), env, name)
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
