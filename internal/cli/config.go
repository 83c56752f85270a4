package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"havre/internal/role"
)

func newConfigCheck(c *console) *cobra.Command {
	return onRole("check", "Check the configuration of a role without starting it", func(l role.Layout, r role.Role) error {
		if _, err := role.Load(l, r.Name, r.New()); err != nil {
			return err
		}
		fmt.Fprintln(c.out, l.Config(r.Name), "is right")
		return nil
	})
}

func newConfigShow(c *console) *cobra.Command {
	return onRole("show", "Show the configuration of a role as it is in force", func(l role.Layout, r role.Role) error {
		text, err := role.Show(l, r)
		if err == nil {
			fmt.Fprintln(c.out, string(text))
		}
		return err
	})
}

// onRole is a command about one role's configuration.
func onRole(name, does string, do func(role.Layout, role.Role) error) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   name + " ROLE",
		Short: does,
		Args:  takes(1, 1, "a role"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := role.Find(args[0])
			if err != nil {
				return err
			}
			return do(role.Layout{Data: data}, r)
		},
	}
	cmd.Flags().StringVar(&data, "data", role.DefaultData, "directory that Havre was started with")
	return cmd
}
