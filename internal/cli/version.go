package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"havre/internal/api"
)

// versions is what havre version tells.
type versions struct {
	Client string       `json:"client"`
	Server *api.Version `json:"server,omitempty"` // nil when none answers
}

func newVersion(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program, and of the server if it answers",
		Args:  takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := versions{Client: version, Server: c.server(cmd.Context())}
			if c.format == "json" {
				return c.json(all)
			}
			rows := [][]string{{"havre", all.Client}}
			if s := all.Server; s != nil {
				rows = append(rows, []string{"server", s.Version})
				if s.Engine != "" {
					rows = append(rows, []string{"engine", s.Engine + " (API " + s.API + ")"})
				}
			}
			return c.table(rows)
		},
	}
	return c.formats(cmd, "text", "json")
}

// server asks for the server's version; whether it answers is havre status'
// business.
func (c *console) server(ctx context.Context) *api.Version {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	cl, err := c.client()
	if err != nil {
		return nil
	}
	v, err := cl.Version(ctx)
	if err != nil {
		return nil
	}
	return &v
}
