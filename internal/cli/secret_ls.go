package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newSecretLs(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List secrets, without what they hold",
		Long: "Lists the secrets of environments: those that files call external. VERSION tells their values apart.\n" +
			"A service that is marked with * runs with a former value until its file is applied again.",
		Args: takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.environment()
			if err != nil {
				return err
			}
			all, err := cl.Secrets(cmd.Context(), env)
			if err != nil {
				return err
			}
			if len(all) == 0 && c.format == "table" {
				c.note("no secrets; make one with: havre secret create NAME")
			}
			var rows [][]string
			for _, s := range all {
				var users []string
				for _, u := range s.UsedBy {
					if slices.Contains(s.Behind, u) {
						u += "*"
					}
					users = append(users, u)
				}
				rows = append(rows, []string{s.Name, s.Environment, short(s.Version), age(s.Created), dash(strings.Join(users, ", "))})
			}
			return c.list(all, []string{"NAME", "ENV", "VERSION", "AGE", "USED BY"}, rows)
		},
	}
	return c.formats(cmd, "table", "json", "name")
}

// secretNames completes the NAME of a secret in shells.
func (c *console) secretNames(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	cl, err := c.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	env, err := c.ownEnvironment()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	all, err := cl.Secrets(ctx, env)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found []string
	for _, s := range all {
		found = append(found, s.Name)
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}
