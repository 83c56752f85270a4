package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"havre/internal/api"
)

func newLogs(c *console) *cobra.Command {
	var o api.LogOptions
	var since, tail string
	var times, access bool
	cmd := &cobra.Command{
		Use:   "logs [-f] NAME",
		Short: "Show what a service printed",
		Long: "Shows what all containers of a service printed, or all services of a PROJECT/. Lines of standard error\n" +
			"go to standard error. Where there can be several sources, each line begins with its own.",
		Args:              takes(1, 1, "one NAME or PROJECT/"),
		ValidArgsFunction: c.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Since, err = sinceTime(cmd, since); err != nil {
				return err
			}
			if o.Tail, err = tailCount(cmd, tail); err != nil {
				return err
			}
			if o.Rollout < 0 || cmd.Flags().Changed("rollout") && o.Rollout == 0 {
				return usage(cmd, "--rollout %d is no rollout", o.Rollout).With("use one of: havre history %s", args[0])
			}
			t, err := c.target(args[0])
			if err != nil {
				return err
			}
			cl, err := c.client()
			if err != nil {
				return err
			}
			if access {
				if t.Project {
					return usage(cmd, "--access is of one service").With("leave the slash out")
				}
				return c.access(cmd.Context(), cl, t, o)
			}
			many := t.Project
			if !many && c.format != "json" {
				s, err := cl.Service(cmd.Context(), t)
				if err != nil {
					return err
				}
				many = s.Replicas > 1
			}
			return cl.Logs(cmd.Context(), t, o, func(l api.Line) error { return c.logLine(l, many, times) })
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with what is printed from now on")
	cmd.Flags().StringVar(&since, "since", "", "only lines since then: 10m, 2h, or a time like 2026-01-31T12:00:00Z")
	cmd.Flags().BoolVar(&access, "access", false, "show who came to the service instead: time, client, request, status, bytes, seconds, replica")
	cmd.Flags().BoolVarP(&times, "timestamps", "t", false, "show when each line was printed")
	cmd.Flags().StringVarP(&tail, "tail", "n", "all", "only so many of the last lines of each container")
	cmd.Flags().IntVar(&o.Rollout, "rollout", 0, "only lines of this rollout; of one that ended the last ones are kept for some days")
	return c.formats(cmd, "text", "json")
}

func sinceTime(cmd *cobra.Command, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return time.Now().Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, usage(cmd, "--since %q is no time", s).With("use a span like 10m, or a time like 2026-01-31T12:00:00Z")
	}
	return t, nil
}

func tailCount(cmd *cobra.Command, s string) (int, error) {
	if s == "all" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, usage(cmd, "--tail %q is no number of lines", s).With("use 1 or more, or all")
	}
	return n, nil
}

// logLine prints a line as the service did, whatever is in it: to the right
// stream, with its source where there may be several.
func (c *console) logLine(l api.Line, many, times bool) error {
	if c.format == "json" {
		return c.json(l)
	}
	var text strings.Builder
	if many {
		fmt.Fprintf(&text, "%s/%d | ", l.Service, l.Slot)
	}
	if times {
		text.WriteString(l.Time.UTC().Format("2006-01-02T15:04:05.000Z") + " ")
	}
	text.WriteString(strings.TrimSuffix(l.Text, "\n") + "\n")
	to := c.out
	if l.Stream == "stderr" {
		to = c.errs
	}
	_, err := to.WriteString(text.String())
	return err
}
