package cli

import (
	"context"

	"github.com/spf13/cobra"

	"havre/internal/api"
)

func newRollback(c *console) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "rollback NAME [N]",
		Short: "Make a service run like a former rollout",
		Long: "Makes a new rollout like rollout N, with its image, variables, files, volumes, ports and number of\n" +
			"containers, and waits until it is healthy. Without N it is like what served before; while an update\n" +
			"is on its way it is called off instead. Volumes keep the data that they have now. Nothing is asked.\n" +
			"A file that is applied afterwards says anew how the service should be.",
		Example:           "  havre rollback web\n  havre rollback shop.web r3",
		Args:              takes(1, 2, "one NAME and at most one rollout"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := c.oneService("rollback", args[0])
			if err != nil {
				return err
			}
			if len(args) == 2 && to != "" {
				return usage(cmd, "the rollout is named twice, as %s and by --to", args[1])
			}
			if len(args) == 2 {
				to = args[1]
			}
			n := 0
			if to != "" {
				if n, err = rolloutNumber(cmd, to); err != nil {
					return err
				}
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			return c.following(cmd.Context(), "rollback", args[0], func(report func(api.Progress)) error {
				return cl.Rollback(cmd.Context(), t, n, report)
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the rollout, as N")
	return c.formats(cmd, "text", "json")
}

// following shows how a change of one service gets on, its plan first.
func (c *console) following(ctx context.Context, verb, name string, change func(func(api.Progress)) error) error {
	t := c.teller()
	err := change(func(p api.Progress) {
		if p.Plan != nil && c.format != "json" {
			c.plan(c.out, *p.Plan)
			return
		}
		t.tell(p)
	})
	if ctx.Err() != nil {
		c.goesOn("the "+verb+" of "+name, name)
		return err
	}
	t.done(nil, err)
	return err
}
