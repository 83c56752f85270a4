package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
)

// between is the time between two tables of ps --watch.
const between = 2 * time.Second

func newPs(c *console) *cobra.Command {
	var quiet, watch bool
	cmd := &cobra.Command{
		Use:   "ps [PROJECT/ | NAME]",
		Short: "List services",
		Long: "Lists services with their state: healthy, starting, failing, stopped, idle (declared with no\n" +
			"replicas) or completed. RESTARTS is how many containers ended badly, as far as is remembered, and\n" +
			"when the last one did.",
		Args:              takes(0, 1, "one PROJECT/ or NAME"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			if quiet {
				c.format = "name"
			}
			for {
				all, err := c.found(cmd.Context(), cl, args)
				live := watch && c.format == "table" && terminal(c.out)
				if err != nil && (!live || problem.KindOf(err) != problem.Unavailable) {
					return err
				}
				if live {
					_, _ = c.out.WriteString("\x1b[H\x1b[2J") // ECMA-48: home, erase all
				}
				if err != nil {
					c.say("%s", problem.Of(err).Says)
				} else if err := c.services(all); err != nil || !live {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(between):
				}
			}
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "names only, as -o name")
	cmd.Flags().BoolVar(&watch, "watch", false, "show them again and again, on a terminal, until Ctrl-C")
	cmd.Flags().BoolP("all", "a", false, "no effect, for hands that are used to it: all are listed, those that do not run, too")
	return c.formats(cmd, "table", "json", "name")
}

// found are the services that are meant.
func (c *console) found(ctx context.Context, cl *client.Client, args []string) ([]api.Service, error) {
	env, err := c.environment()
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return cl.Services(ctx, env, "")
	}
	t, err := c.target(args[0])
	if err != nil {
		return nil, err
	}
	if !t.Project {
		one, err := cl.Service(ctx, t)
		return []api.Service{one}, err
	}
	project := t.Name
	if before, after, found := strings.Cut(t.Name, "."); found {
		t.Environment, project = before, after
	}
	all, err := cl.Services(ctx, t.Environment, project)
	if err == nil && len(all) == 0 {
		err = problem.New(problem.NotFound, "no project is named %s", t.Name).With("list what there is with: havre ps")
	}
	return all, err
}

func (c *console) services(all []api.Service) error {
	if len(all) == 0 && c.format == "table" {
		c.note("no services; declare some with: havre apply -f FILE")
	}
	var rows [][]string
	for _, s := range all {
		rows = append(rows, []string{
			known(s.Environment, s.Project+"."+s.Name), s.State, fmt.Sprintf("%d/%d", s.Healthy, s.Replicas), restarts(s),
			dash(s.Image), dash(c.shown(slices.Concat(s.Ports, s.URLs))), age(s.Since),
		})
	}
	if err := c.list(all, []string{"NAME", "STATE", "HEALTHY", "RESTARTS", "IMAGE", "PORTS", "AGE"}, rows); err != nil || c.format != "table" {
		return err
	}
	for _, s := range all {
		if s.Trouble != nil && s.State == "failing" {
			c.note("%s: %s", known(s.Environment, s.Project+"."+s.Name), s.Says)
		}
	}
	return nil
}

// restarts is how often containers ended badly, and when the last time was.
func restarts(s api.Service) string {
	if s.LastEnd == nil {
		return strconv.Itoa(s.Restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.Restarts, age(s.LastEnd.At))
}

// mostShown is how many ports and addresses a table on a terminal shows of a
// service.
const mostShown = 6

func (c *console) shown(all []string) string {
	if c.width() == 0 {
		return strings.Join(all, ", ")
	}
	return few(all)
}

func few(all []string) string {
	if len(all) <= mostShown {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:mostShown-1], ", "), len(all)-mostShown+1)
}
