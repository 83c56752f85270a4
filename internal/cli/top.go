package cli

import (
	"cmp"
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

// top is what a person wants of the table.
type top struct {
	env, project string
	once         bool
	every        time.Duration
	by           string
}

func newTop(c *console) *cobra.Command {
	var o top
	cmd := &cobra.Command{
		Use:   "top [PROJECT/]",
		Short: "Show what services use, again and again",
		Long: "Shows requests and connections a second, processor, memory and network of each service, until Ctrl-C.\n" +
			"Elsewhere than on a terminal, or with --once, it shows one table of one second and ends.",
		Args:              takes(0, 1, "one PROJECT/"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.every < 500*time.Millisecond {
				return usage(cmd, "--every %s is too short", o.every).With("use 500ms or more")
			}
			if !slices.Contains(orders, o.by) {
				return usage(cmd, "--sort %q is no column", o.by).With("use one of: %s", strings.Join(orders, ", "))
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if o.env, err = c.environment(); err != nil {
				return err
			}
			if len(args) == 1 {
				t, err := c.target(args[0])
				if err != nil {
					return err
				}
				if !t.Project {
					return usage(cmd, "%s is no project", args[0]).With("write it as %s/", args[0])
				}
				o.project = t.Name
				if before, after, found := strings.Cut(t.Name, "."); found {
					o.env, o.project = before, after
				}
			}
			return c.top(cmd.Context(), cl, o)
		},
	}
	cmd.Flags().BoolVar(&o.once, "once", false, "show one table and end")
	cmd.Flags().DurationVar(&o.every, "every", 2*time.Second, "between two tables")
	cmd.Flags().StringVar(&o.by, "sort", "name", "by name, requests, cpu, memory or net")
	return c.formats(cmd, "table", "json")
}

var orders = []string{"name", "requests", "cpu", "memory", "net"}

func (c *console) top(ctx context.Context, cl *client.Client, o top) error {
	live := !o.once && c.format == "table" && terminal(c.out)
	before, err := cl.Usage(ctx, o.env, o.project)
	if err != nil {
		return err
	}
	for wait := time.Second; ; wait = o.every { // a person waits for the first table
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		now, err := cl.Usage(ctx, o.env, o.project)
		if err != nil && (!live || ctx.Err() != nil || problem.KindOf(err) != problem.Unavailable) {
			return err
		}
		if live {
			_, _ = c.out.WriteString("\x1b[H\x1b[2J") // ECMA-48: home, erase all
		}
		if err != nil {
			c.say("%s", problem.Of(err).Says)
			continue
		}
		if err := c.rates(api.Rates(before, now), o); err != nil || !live {
			return err
		}
		before = now
	}
}

func (c *console) rates(all []api.Rate, o top) error {
	slices.SortStableFunc(all, func(a, b api.Rate) int {
		switch o.by {
		case "requests":
			return cmp.Compare(b.Requests+b.Connections, a.Requests+a.Connections)
		case "cpu":
			return cmp.Compare(b.CPU, a.CPU)
		case "memory":
			return cmp.Compare(b.Memory, a.Memory)
		case "net":
			return cmp.Compare(b.NetIn+b.NetOut, a.NetIn+a.NetOut)
		}
		return 0
	})
	if c.format == "json" {
		return c.json(append([]api.Rate{}, all...))
	}
	rows := [][]string{{"NAME", "STATE", "REQ/S", "CONN/S", "OPEN", "CPU", "MEMORY", "IN/S", "OUT/S"}}
	for _, r := range all {
		rows = append(rows, []string{
			known(r.Environment, r.Project+"."+r.Name), r.State, fmt.Sprintf("%.1f", r.Requests), fmt.Sprintf("%.1f", r.Connections), fmt.Sprint(r.Open),
			fmt.Sprintf("%.1f %%", 100*r.CPU), bytesize(r.Memory), bytesize(int64(r.NetIn)), bytesize(int64(r.NetOut)),
		})
	}
	return c.table(rows)
}
