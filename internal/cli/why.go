package cli

import (
	"github.com/spf13/cobra"

	"havre/internal/problem"
)

func newWhy(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "why NAME",
		Short:             "Explain why a service is as it is, and what to do",
		Args:              takes(1, 1, "one NAME"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := c.target(args[0])
			if err != nil {
				return err
			}
			if t.Project {
				return problem.New(problem.Invalid, "%s is a whole project, and why explains one service", args[0]).
					With("choose one of: havre ps %s", args[0])
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			why, err := cl.Why(cmd.Context(), t)
			if err != nil {
				return err
			}
			if c.format == "json" {
				return c.json(why)
			}
			c.say("%s", why.Says)
			for _, l := range why.Lines {
				c.say("  | %s", l)
			}
			if why.Remedy != "" {
				c.say("remedy: %s", why.Remedy)
			}
			return nil
		},
	}
	return c.formats(cmd, "text", "json")
}
