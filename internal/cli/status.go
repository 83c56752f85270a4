package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"havre/internal/api"
)

func newStatus(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how Havre itself is; exit code 1 when it is not well",
		Args:  takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			st, err := cl.Status(cmd.Context())
			if err != nil {
				return err
			}
			if err := c.status(st); err != nil {
				return err
			}
			if !st.Healthy {
				return coded{code: exitFailed}
			}
			return nil
		},
	}
	return c.formats(cmd, "text", "json")
}

func (c *console) status(st api.Status) error {
	if c.format == "json" {
		return c.json(st)
	}
	rows := [][]string{{"havre", st.Version.Version}}
	if st.Node != "" {
		rows = append(rows, []string{"node", st.Node})
	}
	for _, p := range st.Parts {
		says := "well"
		switch {
		case !p.Well:
			says = "NOT WELL: " + p.Says
		case p.Says != "":
			says = "well, but: " + p.Says
		}
		rows = append(rows, []string{p.Name, says})
	}
	rows = append(rows, []string{"projects", fmt.Sprint(st.Projects)}, []string{"services", fmt.Sprint(st.Services)})
	if st.LastPass != nil {
		rows = append(rows, []string{"last pass", age(*st.LastPass) + " ago"})
	}
	return c.table(rows)
}
