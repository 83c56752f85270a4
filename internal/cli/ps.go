package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/problem"
)

func newPs(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "ps [PROJECT/ | NAME]",
		Short:             "List services",
		Long:              "Lists services with their state: healthy, starting, failing, stopped, idle (declared with no\nreplicas) or completed.",
		Args:              takes(0, 1, "one PROJECT/ or NAME"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.environment()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				all, err := cl.Services(cmd.Context(), env, "")
				if err != nil {
					return err
				}
				return c.services(all)
			}
			t, err := c.target(args[0])
			if err != nil {
				return err
			}
			if !t.Project {
				one, err := cl.Service(cmd.Context(), t)
				if err != nil {
					return err
				}
				return c.services([]api.Service{one})
			}
			project := t.Name
			if before, after, found := strings.Cut(t.Name, "."); found {
				t.Environment, project = before, after
			}
			all, err := cl.Services(cmd.Context(), t.Environment, project)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return problem.New(problem.NotFound, "no project is named %s", t.Name).With("list what there is with: havre ps")
			}
			return c.services(all)
		},
	}
	return c.formats(cmd, "table", "json", "name")
}

func (c *console) services(all []api.Service) error {
	if len(all) == 0 && c.format == "table" {
		c.note("no services; declare some with: havre apply -f FILE")
	}
	var rows [][]string
	for _, s := range all {
		rows = append(rows, []string{
			known(s.Environment, s.Project+"."+s.Name), s.State, fmt.Sprintf("%d/%d", s.Healthy, s.Replicas),
			dash(s.Image), dash(few(slices.Concat(s.Ports, s.URLs))), age(s.Since),
		})
	}
	if err := c.list(all, []string{"NAME", "STATE", "HEALTHY", "IMAGE", "PORTS", "AGE"}, rows); err != nil || c.format != "table" {
		return err
	}
	for _, s := range all {
		if s.Trouble != nil && s.State == "failing" {
			c.note("%s: %s", known(s.Environment, s.Project+"."+s.Name), s.Says)
		}
	}
	return nil
}

// mostShown is how many ports and addresses a table shows of a service: one
// with a thousand would make all rows as wide. JSON has all of them.
const mostShown = 6

func few(all []string) string {
	if len(all) <= mostShown {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:mostShown-1], ", "), len(all)-mostShown+1)
}
