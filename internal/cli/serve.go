package cli

import (
	"github.com/spf13/cobra"

	"havre/internal/role"
)

// newServe runs one role; the supervisor calls it, and people who debug one.
func newServe(*console) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "serve ROLE",
		Short: "Run one role in the foreground: guard, server or ingress",
		Args:  takes(1, 1, "a role"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := role.Find(args[0])
			if err != nil {
				return err
			}
			role.Named()
			role.Version = version
			return r.Serve(cmd.Context(), role.Layout{Data: data})
		},
	}
	cmd.Flags().StringVar(&data, "data", role.DefaultData, "directory that Havre was started with")
	return cmd
}
