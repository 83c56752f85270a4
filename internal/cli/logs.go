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
	var shown lineForm
	var access bool
	cmd := &cobra.Command{
		Use:   "logs [-f] NAME",
		Short: "Show what a service printed",
		Long: "Shows what all containers of a service printed, or all services of a PROJECT/. Lines of standard error\n" +
			"go to standard error. Where there can be several sources, each line begins with its own. On a terminal\n" +
			"lines are shown without what steers it, colours too; in a pipe, or with --raw, as they are.",
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
			shown.source = t.Project
			if !shown.source && c.format != "json" {
				s, err := cl.Service(cmd.Context(), t)
				if err != nil {
					return err
				}
				shown.source = s.Replicas > 1
			}
			return cl.Logs(cmd.Context(), t, o, func(l api.Line) error { return c.logLine(l, shown) })
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with what is printed from now on")
	cmd.Flags().StringVar(&since, "since", "", "only lines since then: 10m, 2h, or a time like 2026-01-31T12:00:00Z")
	cmd.Flags().BoolVar(&access, "access", false, "show who came to the service instead: time, client, request, status, bytes, seconds, replica")
	cmd.Flags().BoolVarP(&shown.times, "timestamps", "t", false, "show when each line was printed")
	cmd.Flags().BoolVar(&shown.raw, "raw", false, "also on a terminal show lines as they are, with what steers it")
	cmd.Flags().StringVarP(&tail, "tail", "n", "all", "only so many of the last lines of each replica")
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

// lineForm is how lines of a log are shown.
type lineForm struct {
	source bool // with the service and the replica
	times  bool
	raw    bool // as they are, also on a terminal
}

// logLine prints a line to the right stream. In a pipe it is as the service
// wrote it, whatever is in it; a terminal would do what it says.
func (c *console) logLine(l api.Line, as lineForm) error {
	if c.format == "json" {
		return c.json(l)
	}
	var text strings.Builder
	if as.source {
		fmt.Fprintf(&text, "%s/%d | ", l.Service, l.Slot)
	}
	if as.times {
		text.WriteString(l.Time.UTC().Format("2006-01-02T15:04:05.000Z") + " ")
	}
	to := c.out
	if l.Stream == "stderr" {
		to = c.errs
	}
	words := strings.TrimSuffix(l.Text, "\n")
	if !as.raw && terminal(to) {
		words = clean(uncoloured(strings.TrimSuffix(words, "\r")))
	}
	text.WriteString(words + "\n")
	_, err := to.WriteString(text.String())
	return err
}

// uncoloured is s without what switches colours and the like (ECMA-48, SGR).
// That is left out whole: a sign for each would make such lines hard to read.
func uncoloured(s string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if s = strings.TrimLeft(rest, "0123456789;:"); strings.HasPrefix(s, "m") {
			s = s[1:]
			continue
		}
		out.WriteString("\x1b[")
		s = rest
	}
}
