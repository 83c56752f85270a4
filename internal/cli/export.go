package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/dialect"
)

func newExport(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export PROJECT",
		Short: "Print a project as a Compose file",
		Long: "Prints the project as it was applied last, rollbacks and scaling included, as a Compose file that\n" +
			"docker compose loads and that havre apply takes for no change. What Compose has no words for stands\n" +
			"in x-havre, and a comment at the top lists it. Data of volumes and images are not in it. Variables are:\n" +
			"keep the file as you keep the one that was applied.",
		Example:           "  havre export shop > compose.yml",
		Args:              takes(1, 1, "one PROJECT"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := c.target(strings.TrimSuffix(args[0], "/") + "/")
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			d, err := cl.Declared(cmd.Context(), t)
			if err != nil {
				return err
			}
			if c.format == "json" {
				return c.json(d)
			}
			text, beyond, err := dialect.Write(d.Project)
			if err != nil {
				return err
			}
			c.say("# project %s of environment %s, by havre export", d.Project.Name, d.Environment)
			for _, b := range beyond {
				c.say("# beyond plain Compose: %s", strings.ReplaceAll(b, "\n", " "))
			}
			_, err = c.out.Write(text)
			return err
		},
	}
	return c.formats(cmd, "text", "json")
}
