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
	cmd := onRole("show", "Show the configuration of a role as it is in force, or files in their normal form", func(l role.Layout, r role.Role) error {
		text, err := role.Show(l, r)
		if err == nil {
			fmt.Fprintln(c.out, string(text))
		}
		return err
	})
	var d declaration
	d.flags(cmd)
	onRole, needsRole := cmd.RunE, cmd.Args
	cmd.Use = "show ROLE | -f FILE…"
	cmd.Long = "With -f it reads Compose files or a deployment JSON, fills in variables, and prints the project in its\n" +
		"normal form: Compose with x-havre, one way to say each thing, defaults left out. Applying that text is\n" +
		"the same as applying the files."
	cmd.Example = "  havre config show server\n  havre config show -f compose.yml"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(d.files) > 0 {
			return takes(0, 0, "nothing")(cmd, args)
		}
		return needsRole(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(d.files) == 0 {
			return onRole(cmd, args)
		}
		want, err := c.read(cmd, d)
		if err != nil {
			return err
		}
		text, _, err := want.read.Normal()
		if err == nil {
			_, err = c.out.Write(text)
		}
		return err
	}
	return cmd
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
