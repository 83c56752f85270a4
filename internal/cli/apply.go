package cli

import (
	"context"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
)

func newApply(c *console) *cobra.Command {
	var d declaration
	var yes, anew bool
	var only planOnly
	cmd := &cobra.Command{
		Use:   "apply [-f FILE…]",
		Short: "Make a project as its files declare",
		Long: "Reads the files here, shows the plan, asks, builds the images that they say how to build and that the\n" +
			"environment lacks, has the plan carried out, and waits until every service is healthy or one is not.\n" +
			"With -o json each line of the output is one step. Ctrl-C only stops the waiting: the deploy goes on.",
		Example: "  havre apply\n  havre apply -f compose.yml\n  havre apply -f deployment.json -p mail --port-offset 10000 --yes\n  havre apply -f compose.yml --plan-only --exit-code",
		Args:    takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := c.read(cmd, d)
			if err != nil {
				return err
			}
			want.anew = anew
			cl, err := c.client()
			if err != nil {
				return err
			}
			if only.exit && !only.plan {
				return usage(cmd, "--exit-code is about --plan-only")
			}
			if only.plan {
				return c.planned(cmd.Context(), cl, want, only.exit)
			}
			return c.apply(cmd.Context(), cl, want, yes)
		},
	}
	d.flags(cmd)
	cmd.Flags().BoolVar(&only.plan, "plan-only", false, "show the plan and change nothing")
	only.flags(cmd)
	cmd.Flags().BoolVar(&anew, "build", false, "build all images anew that the files say how to build")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c.formats(cmd, "text", "json")
}

func (c *console) apply(ctx context.Context, cl *client.Client, want wish, yes bool) error {
	p, err := cl.Plan(ctx, want.draft())
	if err != nil {
		return err
	}
	if err := want.kept(p); err != nil {
		return err
	}
	if err := want.unreadable(p); err != nil {
		return err
	}
	due := want.due(p)
	if c.format == "json" {
		c.building(due, c.note)
		c.plan(c.errs, p)
	} else {
		c.building(due, c.say)
		c.plan(c.out, p)
	}
	// A plan without changes is sent all the same: what was declared before may
	// still be on its way, or have failed.
	if !p.Nothing() || len(due) > 0 {
		if err := c.confirm(ctx, yes, "Carry this out?"); err != nil {
			return err
		}
	}
	if err := c.make(ctx, cl, want.Environment, due); err != nil {
		return err
	}
	name := known(want.Environment, want.Project.Name)
	t := c.teller()
	following, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	err = cl.Apply(following, want.Apply, func(line api.Progress) {
		if line.Plan != nil {
			if err := c.fill(ctx, cl, want, *line.Plan); err != nil {
				leave(err)
			}
		}
		if line.Service != nil && line.Service.State == "kept" && c.format != "json" {
			return // the plan has said so
		}
		t.tell(line)
	})
	if ctx.Err() != nil {
		c.goesOn("the deploy of "+name, name+"/")
		return err
	}
	if cause := context.Cause(following); cause != nil {
		err = cause
	}
	t.done(nil, err)
	if err == nil && !p.Nothing() && c.format != "json" {
		c.say("done: project %s is as declared", name)
	}
	return err
}

// goesOn tells who interrupts us what they did not interrupt.
func (c *console) goesOn(what, name string) {
	c.note("\ninterrupted; %s goes on in the background", what)
	c.note("  look at it with: havre ps %s", name)
}
