package cli

import (
	"time"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/problem"
)

func newAlertLs(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List what is wrong by the rules",
		Long:  "Lists what is wrong by the rules of the server's configuration: pending (it did not last long enough\nyet), unwell or silenced. Silences and channels are told after it.",
		Args:  takes(0, 0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			all, err := cl.Alerts(cmd.Context())
			if err != nil {
				return err
			}
			return c.alerts(all)
		},
	}
	return c.formats(cmd, "table", "json", "name")
}

func (c *console) alerts(all api.Alerts) error {
	if c.format == "json" {
		return c.json(all)
	}
	var rows [][]string
	for _, a := range all.Alerts {
		rows = append(rows, []string{a.Name, a.State, age(a.Since), a.Says})
	}
	if err := c.list(all, []string{"NAME", "STATE", "SINCE", "SAYS"}, rows); err != nil || c.format == "name" {
		return err
	}
	if len(all.Alerts) == 0 {
		c.note("nothing is wrong by the rules")
	}
	for _, s := range all.Silences {
		c.note("silenced until %s: %s", s.Until.Local().Format("2006-01-02 15:04"), s.Name)
	}
	if len(all.Channels) == 0 {
		c.note("nobody is told: there are no channels in the server's configuration")
	}
	if all.Waiting > 0 {
		c.note("notices that wait to be taken: %d; if they stay, see why with: havre alert test", all.Waiting)
	}
	return nil
}

func newAlertSilence(c *console) *cobra.Command {
	var span time.Duration
	var end bool
	cmd := &cobra.Command{
		Use:   "silence NAME",
		Short: "Keep alerts from being told for a while",
		Long:  "NAME is an alert's, a rule's, a service's or a project's in full (prod.shop.web, prod.shop), or '*'.\nWhat was told before is still told when it is over.",
		Args:  takes(1, 1, "one NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if span <= 0 && !end {
				return usage(cmd, "--for %s is no time", span).With("use a time like 2h, or --end")
			}
			if end {
				span = 0
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			all, err := cl.Silence(cmd.Context(), args[0], span)
			if err != nil {
				return err
			}
			return c.alerts(all)
		},
	}
	cmd.Flags().DurationVar(&span, "for", time.Hour, "for so long")
	cmd.Flags().BoolVar(&end, "end", false, "end a silence instead")
	return c.formats(cmd, "table", "json")
}

func newAlertTest(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test [CHANNEL]",
		Short: "Send a test by a channel, or by each",
		Long:  "Sends a test at once and says whether the other side took it.",
		Args:  takes(0, 1, "one CHANNEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			all, err := cl.TestAlerts(cmd.Context(), append(args, "")[0])
			if err != nil {
				return err
			}
			bad := 0
			var rows [][]string
			for _, t := range all {
				state := "taken"
				if !t.OK {
					bad++
					state = "not taken"
				}
				rows = append(rows, []string{t.Channel, state, dash(t.Says)})
			}
			if err := c.list(all, []string{"CHANNEL", "STATE", "SAYS"}, rows); err != nil {
				return err
			}
			if bad > 0 {
				return problem.New(problem.Failed, "%d of %d channels did not take it", bad, len(all)).With("see docs/operate/alerts.md")
			}
			return nil
		},
	}
	return c.formats(cmd, "table", "json")
}
