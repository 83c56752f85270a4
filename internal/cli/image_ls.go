package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func newImageLs(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List images",
		Args:  takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			env, err := c.environment()
			if err != nil {
				return err
			}
			all, err := cl.Images(cmd.Context(), env)
			if err != nil {
				return err
			}
			if len(all) == 0 && c.format == "table" {
				c.note("no images; make one with: havre image bootstrap debian:bookworm")
			}
			var rows [][]string
			for _, i := range all {
				rows = append(rows, []string{i.Name, i.Environment, short(i.ID), bytesize(i.Size), age(i.Created), dash(strings.Join(i.UsedBy, ", "))})
			}
			return c.list(all, []string{"NAME", "ENV", "ID", "SIZE", "AGE", "USED BY"}, rows)
		},
	}
	return c.formats(cmd, "table", "json", "name")
}

// short is as much of an image's id as people compare.
func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}
