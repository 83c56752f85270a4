package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
)

func newRm(c *console) *cobra.Command {
	var volumes, yes bool
	cmd := &cobra.Command{
		Use:   "rm NAME…",
		Short: "Remove services",
		Long: "Stops services and forgets them. Their volumes stay, and are there again when a service of this name\n" +
			"is applied to the same project, unless --volumes is given: then the data is gone for good.",
		Args:              takes(1, -1, "at least one NAME or PROJECT/"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			question := "Remove " + strings.Join(args, ", ") + "?"
			if volumes {
				question = "Remove " + strings.Join(args, ", ") + " and all data in their volumes, for good?"
			}
			if err := c.confirm(cmd.Context(), yes, question); err != nil {
				return err
			}
			return c.remove(cmd.Context(), args, volumes)
		},
	}
	cmd.Flags().BoolVar(&volumes, "volumes", false, "remove the data too")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c.formats(cmd, "text", "json")
}

func (c *console) remove(ctx context.Context, names []string, volumes bool) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := c.target(name)
		if err != nil {
			return err
		}
		gone, err := cl.Remove(ctx, t, volumes)
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
	return nil
}
