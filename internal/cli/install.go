package cli

import (
	"github.com/spf13/cobra"

	"havre/internal/role"
)

func newInstall(c *console) *cobra.Command {
	o := role.InstallOptions{}
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Have systemd start Havre now and at each boot",
		Long: "Copies this program to /usr/local/bin unless it lies in a system path, writes the unit havre.service,\n" +
			"enables it and starts it. It may be called again; what is so already is left alone. Where systemd does\n" +
			"not run it says how Havre is started otherwise.",
		Example: "  sudo havre install\n  havre install --dry-run",
		Args:    takes(0, 0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			done, err := role.Install(o)
			return c.installed(done, o, err)
		},
	}
	cmd.Flags().StringVar(&o.Data, "data", role.DefaultData, "directory for everything that Havre keeps")
	installFlags(cmd, &o)
	return c.formats(cmd, "text", "json")
}

func installFlags(cmd *cobra.Command, o *role.InstallOptions) {
	cmd.Flags().StringVar(&o.Root, "root", "/", "root directory of the machine, for images of machines; nothing is started then")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "change nothing, show what would be done")
}

// installed shows what was done, also when it went wrong halfway.
func (c *console) installed(done role.Installed, o role.InstallOptions, err error) error {
	if c.format == "json" {
		if err != nil {
			return err
		}
		return c.json(done)
	}
	would := ""
	if o.DryRun {
		would = "would have: "
	}
	for _, line := range done.Did {
		c.say("%s%s", would, line)
	}
	if err != nil {
		return err
	}
	if len(done.Did) == 0 {
		c.say("nothing to do")
	}
	for _, line := range done.Next {
		c.say("%s", line)
	}
	if o.DryRun && done.Unit != "" {
		c.say("\nthe unit:\n\n%s", done.Unit)
	}
	return nil
}
