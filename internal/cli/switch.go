package cli

import (
	"context"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
)

func newStart(c *console) *cobra.Command {
	return c.turning("start", "Start services that were stopped", (*client.Client).Start)
}

func newStop(c *console) *cobra.Command {
	return c.turning("stop", "Stop services until they are started again", (*client.Client).Stop)
}

func newRestart(c *console) *cobra.Command {
	return c.turning("restart", "Give services new containers", (*client.Client).Restart)
}

// turning is a command that turns services on or off, one NAME after the other.
func (c *console) turning(verb, does string, turn func(*client.Client, context.Context, api.Target, client.Report) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:               verb + " NAME…",
		Short:             does,
		Args:              takes(1, -1, "at least one NAME or PROJECT/"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			for _, name := range args {
				target, err := c.target(name)
				if err != nil {
					return err
				}
				t := c.teller()
				err = turn(cl, cmd.Context(), target, t.tell)
				if cmd.Context().Err() != nil {
					c.goesOn("the "+verb+" of "+name, name)
					return err
				}
				t.done(nil, err)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	return c.formats(cmd, "text", "json")
}
