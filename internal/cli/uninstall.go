package cli

import (
	"github.com/spf13/cobra"

	"havre/internal/role"
)

func newUninstall(c *console) *cobra.Command {
	o := role.InstallOptions{}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Undo install: stop Havre and start it no more; services go on, data stay",
		Long: "Removes the unit, and the program from /usr/local/bin if the unit names it. To remove all that Havre\n" +
			"made on this machine: havre down --purge --yes, before this.",
		Args: takes(0, 0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			done, err := role.Uninstall(o)
			return c.installed(done, o, err)
		},
	}
	installFlags(cmd, &o)
	return c.formats(cmd, "text", "json")
}
