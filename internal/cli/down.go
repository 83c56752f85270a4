package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
	"havre/internal/role"
)

func newDown(c *console) *cobra.Command {
	var data string
	var services, purge, yes bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop Havre on this machine; services go on unless told otherwise",
		Args:  takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := role.Layout{Data: data}
			switch {
			case purge && !yes:
				return problem.New(problem.Invalid, "down --purge destroys every service, volume and image of Havre in %s", data).With("if you mean it: havre down --purge --yes")
			case purge:
				gone, err := role.Purge(cmd.Context(), l)
				for _, g := range gone {
					fmt.Fprintln(c.out, "gone:", g)
				}
				return err
			case services:
				if err := c.downServices(cmd, l); err != nil {
					return err
				}
			}
			stopped, err := role.Down(l)
			if err == nil && len(stopped) == 0 {
				fmt.Fprintln(c.out, "Havre was not up")
			} else if err == nil {
				fmt.Fprintln(c.out, "Havre is down")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", role.DefaultData, "directory that Havre was started with")
	f.BoolVar(&services, "services", false, "stop the services first; they stay stopped until: havre start")
	f.BoolVar(&purge, "purge", false, "remove everything that Havre made on this machine, data too")
	f.BoolVar(&yes, "yes", false, "do not ask back")
	return cmd
}

// downServices stops the services of the Havre in l, whatever context is saved.
func (c *console) downServices(cmd *cobra.Command, l role.Layout) error {
	cl, err := client.New(client.Config{URL: "unix://" + l.ServerSocket()})
	if err != nil {
		return err
	}
	return cl.Down(cmd.Context(), func(p api.Progress) {
		if p.Service != nil {
			fmt.Fprintln(c.out, p.Service.Name, p.Service.State)
		}
	})
}
