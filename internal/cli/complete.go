package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// names completes NAME in shells, as far as a server answers quickly.
func (c *console) names(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	cl, err := c.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	env, err := c.environment()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	all, err := cl.Services(ctx, env, "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var found []string
	for _, s := range all {
		found = append(found, known(s.Environment, s.Project+"."+s.Name), known(s.Environment, s.Project)+"/")
	}
	slices.Sort(found)
	return slices.Compact(found), cobra.ShellCompDirectiveNoFileComp
}
