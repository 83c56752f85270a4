package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
)

func newPlan(c *console) *cobra.Command {
	var d declaration
	var only planOnly
	cmd := &cobra.Command{
		Use:   "plan [-f FILE…]",
		Short: "Show what apply would do",
		Args:  takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			want, err := c.read(cmd, d)
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			return c.planned(cmd.Context(), cl, want, only.exit)
		},
	}
	d.flags(cmd)
	only.flags(cmd)
	return c.formats(cmd, "text", "json")
}

// planOnly is the flags of those who only want to know.
type planOnly struct{ plan, exit bool }

func (p *planOnly) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.exit, "exit-code", false, "exit with code 10 when the plan changes something")
}

// planned asks for a plan and shows it.
func (c *console) planned(ctx context.Context, cl *client.Client, want wish, exit bool) error {
	p, err := cl.Plan(ctx, want.draft())
	if err == nil {
		err = want.kept(p)
	}
	if err != nil {
		return err
	}
	due := want.due(p)
	if c.format == "json" {
		err = c.json(p)
	} else {
		c.building(due, c.say)
		c.plan(c.out, p)
	}
	if err == nil && exit && !(p.Nothing() && len(due) == 0) {
		return coded{code: exitChanges}
	}
	return err
}

// plan shows a plan to a person.
func (c *console) plan(to io.Writer, p api.Plan) {
	for _, n := range p.Notes {
		c.noted(n)
	}
	if p.Nothing() {
		line(to, "nothing to change: project %s in %s is as declared", p.Project, p.Environment)
		filling(p, to)
		return
	}
	line(to, "project %s in %s:", p.Project, p.Environment)
	widest := 0
	for _, ch := range p.Changes {
		widest = max(widest, len(ch.Service))
	}
	for _, ch := range p.Changes {
		text := fmt.Sprintf("  %-6s  %-*s  %s", ch.Verb, widest, ch.Service, details(ch))
		line(to, "%s", strings.TrimRight(text, " "))
	}
	filling(p, to)
}

// details is all of a change but its verb and service.
func details(ch api.Change) string {
	var parts []string
	if ch.Rollout > 0 {
		parts = append(parts, fmt.Sprintf("r%d", ch.Rollout))
	}
	if len(ch.Why) > 0 {
		parts = append(parts, strings.Join(ch.Why, ", "))
	}
	if len(ch.Ports) > 0 {
		parts = append(parts, "ports "+strings.Join(ch.Ports, ", "))
	}
	if len(ch.Volumes) > 0 {
		parts = append(parts, "new volumes "+strings.Join(ch.Volumes, ", "))
	}
	switch {
	case ch.Stops && ch.Because != "":
		parts = append(parts, "stops the old one first, as "+ch.Because)
	case ch.Stops: // a server that is older than this program gives no reason
		parts = append(parts, "stops the old one first")
	}
	return strings.Join(parts, "; ")
}
