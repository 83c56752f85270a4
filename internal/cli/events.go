package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
)

func newEvents(c *console) *cobra.Command {
	var q api.EventQuery
	var since string
	cmd := &cobra.Command{
		Use:   "events [-f] [PROJECT/ | NAME]",
		Short: "Show what happened",
		Long: "Shows deploys, changes of health, restarts, crash loops, certificates, refused calls, ports that cannot be\n" +
			"had. Following begins now, or where --since or --after say, and goes on after a break where it was.",
		Args:              takes(0, 1, "one PROJECT/ or NAME"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.Since, err = sinceTime(cmd, since); err != nil {
				return err
			}
			if q.Follow && since == "" && q.After == 0 {
				q.Since = time.Now()
			}
			for _, k := range q.Kinds {
				if !slices.Contains(api.EventKinds(), k) {
					return usage(cmd, "no event is of the kind %q", k).With("use one of: %s", strings.Join(api.EventKinds(), ", "))
				}
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if q.Environment, err = c.environment(); err != nil {
				return err
			}
			if len(args) == 1 {
				if err := c.about(cmd.Context(), cl, &q, args[0]); err != nil {
					return err
				}
			}
			return c.events(cmd.Context(), cl, q)
		},
	}
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what happens from now on")
	cmd.Flags().StringVar(&since, "since", "", "only events since then: 10m, 2h, or a time like 2026-01-31T12:00:00Z")
	cmd.Flags().Int64Var(&q.After, "after", 0, "only events with a higher number")
	cmd.Flags().StringSliceVar(&q.Kinds, "kind", nil, "only events of this kind; may come more than once")
	return c.formats(cmd, "text", "json")
}

// about narrows q to a project or a service. What is gone has a past, too, so
// a name in full need not be there any more.
func (c *console) about(ctx context.Context, cl *client.Client, q *api.EventQuery, name string) error {
	t, err := c.target(name)
	if err != nil {
		return err
	}
	parts := strings.Split(t.Name, ".")
	if t.Project {
		q.Project = parts[len(parts)-1]
		if len(parts) == 2 {
			q.Environment = parts[0]
		}
		return nil
	}
	s, err := cl.Service(ctx, t)
	switch {
	case err == nil:
		q.Environment, q.Project, q.Service = s.Environment, s.Project, s.Name
	case len(parts) == 3:
		q.Environment, q.Project, q.Service = parts[0], parts[1], parts[2]
	default:
		return err
	}
	return nil
}

// backAfter is how long following waits before it comes again.
const backAfter = time.Second

// events prints, and comes again when a server that is followed breaks off.
func (c *console) events(ctx context.Context, cl *client.Client, q api.EventQuery) error {
	if _, err := cl.Version(ctx); err != nil {
		return err // a server that was never there is not waited for
	}
	for {
		err := cl.Events(ctx, q, func(e api.Event) error {
			q.After = e.ID
			return c.event(e)
		})
		if !q.Follow || ctx.Err() != nil {
			return err
		}
		if err != nil && problem.KindOf(err) != problem.Unavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backAfter):
		}
	}
}

func (c *console) event(e api.Event) error {
	if c.format == "json" {
		return c.json(e)
	}
	var about string
	switch {
	case e.Service != "":
		about = known(e.Environment, e.Project+"."+e.Service)
	case e.Project != "":
		about = known(e.Environment, e.Project) + "/"
	}
	if e.Rollout > 0 {
		about += fmt.Sprintf(" r%d", e.Rollout)
	}
	words := []string{e.Time.Local().Format("2006-01-02 15:04:05"), fmt.Sprintf("%-13s", e.Kind)}
	for _, w := range []string{about, e.State, e.Says} {
		if w != "" {
			words = append(words, strings.ReplaceAll(clean(w), "\n", " "))
		}
	}
	c.say("%s", strings.Join(words, "  "))
	return nil
}
