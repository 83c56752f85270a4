package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"havre/internal/audit"
	"havre/internal/problem"
	"havre/internal/role"
)

func newGuardLog(c *console) *cobra.Command {
	var data string
	var q audit.Query
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show what the guard let be done and read and what it refused; for root",
		Args:  takes(0, 0, "nothing"),
		RunE: func(*cobra.Command, []string) error {
			for l, err := range (role.Layout{Data: data}).Audit(q) {
				switch {
				case errors.Is(err, fs.ErrPermission):
					return problem.New(problem.Denied, "only root may read the guard's log").With("run it with sudo")
				case errors.Is(err, fs.ErrNotExist):
					return problem.New(problem.NotFound, "no guard has worked in %s yet", data).With("name the directory that Havre was started with: --data DIR")
				case err != nil:
					return err
				case c.format == "json" || l.Decision == "":
					c.say("%s", l.Text)
				default:
					c.say("%s", auditLine(l.Entry))
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", role.DefaultData, "directory that Havre was started with")
	f.IntVarP(&q.Last, "tail", "n", 50, "at most so many last lines; 0 is all")
	f.BoolVar(&q.Refused, "refused", false, "only what was refused")
	return c.formats(cmd, "text", "json")
}

// auditLine is an entry for people: when, who, what, and about which objects.
func auditLine(e audit.Entry) string {
	what := string(e.Kind)
	if what == "" {
		what = e.Method + " " + e.Path
	}
	parts := []string{e.Time.Format(time.RFC3339), string(e.Decision), fmt.Sprintf("uid=%d", e.UID), what}
	add := func(name string, values ...string) {
		if text := strings.Join(values, " "); text != "" {
			parts = append(parts, name+"="+text)
		}
	}
	object := e.Name
	if object == "" {
		object = e.Object
	}
	add("object", object)
	add("environment", string(e.Environment))
	add("project", string(e.Project))
	add("service", string(e.Service))
	add("volume", string(e.Volume))
	add("container", string(e.Container))
	add("images", e.Images...)
	add("mounts", e.Mounts...)
	add("file", e.File)
	if len(e.Command) > 0 {
		add("command", fmt.Sprintf("%q", e.Command))
	}
	if len(e.Check) > 0 {
		add("check", fmt.Sprintf("%q", e.Check))
	}
	add("rule", e.Rule)
	add("says", e.Says)
	if e.Count > 0 {
		add("count", fmt.Sprint(e.Count))
	}
	return strings.ReplaceAll(strings.Join(parts, " "), "\n", " ")
}
