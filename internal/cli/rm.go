package cli

import (
	"context"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/problem"
)

func newRm(c *console) *cobra.Command {
	var how api.Removal
	var yes bool
	cmd := &cobra.Command{
		Use:   "rm NAME…",
		Short: "Remove services",
		Long: "Stops services and forgets them, all that are named at once. Their volumes stay, and are there again when a service of this name\n" +
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

// atOnce is how many removals go on at a time: each waits for containers to stop.
const atOnce = 8

// remove removes all of names at once, and tells of each in their order. What
// is refused because of another one of them is tried again after that.
// Errors: a problem.List, one for each that is not gone.
func (c *console) remove(ctx context.Context, names []string, how api.Removal) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	targets := make([]api.Target, len(names))
	for i, name := range names { // all are read before any is removed
		if targets[i], err = c.target(name); err != nil {
			return err
		}
	}
	gone, failed := make([]api.Removed, len(names)), make([]error, len(names))
	var work sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i := range names {
		places <- struct{}{}
		work.Go(func() {
			gone[i], failed[i] = cl.Remove(ctx, targets[i], how)
			<-places
		})
	}
	work.Wait()
	var wrong problem.List
	for i := range names {
		if len(names) > 1 && problem.KindOf(failed[i]) == problem.Conflict {
			gone[i], failed[i] = cl.Remove(ctx, targets[i], how)
		}
		if failed[i] != nil {
			for _, p := range api.Flat(failed[i]) {
				wrong = append(wrong, &p)
			}
			continue
		}
		if err := c.removed(gone[i]); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return wrong.AsError()
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
