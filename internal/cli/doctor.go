package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/doctor"
	"havre/internal/role"
)

func newDoctor(c *console) *cobra.Command {
	o := role.DiagnoseOptions{}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with this machine and say what mends it; exit code 1 when something is bad",
		Long: "Looks at the engine, its swarm, the kernel, ports, firewall rules, disks, clock, and owners and modes in\n" +
			"the data directory. It changes nothing and works when Havre is down. Only root can see everything.",
		Example: "  sudo havre doctor",
		Args:    takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Context = contextFile(c.getenv)
			found := role.Diagnose(cmd.Context(), o)
			if err := c.checks(found); err != nil {
				return err
			}
			if doctor.Sick(found) {
				return coded{code: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Data, "data", role.DefaultData, "directory that Havre was started with")
	return c.formats(cmd, "text", "json")
}

// checks shows what was found, and under each fault the command that mends it.
func (c *console) checks(found []doctor.Check) error {
	if c.format == "json" {
		return c.json(found)
	}
	for _, f := range found {
		level := string(f.Level)
		if f.Level == doctor.Bad {
			level = strings.ToUpper(level)
		}
		c.say("%-8s  %-10s  %s", level, f.Name, strings.ReplaceAll(f.Says, "\n", " "))
		if f.Remedy != "" {
			c.say("%20s  remedy: %s", "", f.Remedy)
		}
	}
	return nil
}
