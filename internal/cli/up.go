package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"havre/internal/role"
)

func newUp(c *console) *cobra.Command {
	o := role.UpOptions{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start Havre on this machine and keep it running; fine when it is up already",
		Args:  takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			role.Version = version
			o.Say = func(line string) { fmt.Fprintln(c.out, line) }
			return role.Up(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Data, "data", role.DefaultData, "directory for everything that Havre keeps")
	f.BoolVarP(&o.Detach, "detach", "d", false, "come back when Havre is ready, and leave it running")
	f.StringVar(&o.Listen, "listen", "", "address of the API, remembered (default 127.0.0.1:7080)")
	f.StringVar(&o.Engine, "engine", "", "Docker's socket, remembered (default /var/run/docker.sock)")
	f.IntVar(&o.HTTPPort, "http-port", 0, "port at which domains are served, remembered (default 80)")
	f.IntVar(&o.HTTPSPort, "https-port", 0, "the same with TLS, remembered (default 443)")
	f.IntVar(&o.Lock, "lock", 0, "descriptor of the lock that --detach hands over")
	_ = f.MarkHidden("lock") // fails only for a flag that is not there
	return cmd
}
