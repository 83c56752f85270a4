package cli

import (
	"context"
	"fmt"
	"strings"

	"havre/internal/api"
	"havre/internal/client"
)

// access prints who came to a service, a line each.
func (c *console) access(ctx context.Context, cl *client.Client, t api.Target, o api.LogOptions) error {
	all, err := cl.Access(ctx, t, o)
	if err != nil {
		return err
	}
	for _, a := range all {
		if c.format == "json" {
			if err := c.json(a); err != nil {
				return err
			}
			continue
		}
		what := a.Protocol
		if a.Method != "" {
			what = fmt.Sprintf("%s %s%s %s %d", a.Method, a.Host, a.Path, a.Protocol, a.Status)
		}
		if a.Denied {
			what += " denied"
		}
		words := []string{a.Time.UTC().Format("2006-01-02T15:04:05.000Z"), a.Client, what, fmt.Sprintf("%d/%d", a.In, a.Out), fmt.Sprintf("%.3fs", a.Seconds)}
		if a.Replica != "" {
			words = append(words, fmt.Sprintf("%.12s", a.Replica))
		}
		if a.ID != "" {
			words = append(words, a.ID)
		}
		c.say("%s", strings.ReplaceAll(strings.Join(words, " "), "\n", " "))
	}
	return nil
}
