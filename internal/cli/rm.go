package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
)

func newRm(c *console) *cobra.Command {
	var how api.Removal
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm NAME…",
		Short: "Remove services",
		Long: "Stops services and forgets them. Their volumes stay, and are there again when a service of this name\n" +
			"is applied to the same project, unless --volumes is given: then the data is gone for good.",
		Args:              takes(1, -1, "at least one NAME or PROJECT/"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			question := "Remove " + strings.Join(args, ", ") + "?"
			if how.Volumes {
				question = "Remove " + strings.Join(args, ", ") + " and all data in their volumes, for good?"
			}
			if err := c.confirm(cmd.Context(), yes, question); err != nil {
				return err
			}
			return c.remove(cmd.Context(), args, how)
		},
	}
	cmd.Flags().BoolVar(&how.Volumes, "volumes", false, "remove the data too")
	cmd.Flags().BoolVar(&how.Force, "force", false, "also what services of other projects link to; says whose link leads nowhere then")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c.formats(cmd, "text", "json")
}

func (c *console) remove(ctx context.Context, names []string, how api.Removal) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := c.target(name)
		if err != nil {
			return err
		}
		gone, err := cl.Remove(ctx, t, how)
		if err != nil {
			return err
		}
		if err := c.removed(gone); err != nil {
			return err
		}
	}
	return nil
}

// removed tells what is gone and what is not.
func (c *console) removed(r api.Removed) error {
	if c.format == "json" {
		return c.json(r)
	}
	for _, what := range r.Gone {
		c.say("removed %s", what)
	}
	for _, what := range r.Kept {
		c.say("kept %s", what)
	}
	for _, who := range r.Cut {
		c.say("cut off: %s runs on, and its link leads nowhere until the target is applied again", who)
	}
	return nil
}
