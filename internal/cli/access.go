package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
)

// lookAgain is how long following waits for new lines.
const lookAgain = 500 * time.Millisecond

// access prints who came to a service. Following, it goes on where it was when
// a server or an ingress that broke off is back.
func (c *console) access(ctx context.Context, cl *client.Client, t api.Target, o api.LogOptions) error {
	if !o.Follow {
		all, err := cl.Access(ctx, t, o)
		if err != nil {
			return err
		}
		return c.accessLines(all)
	}
	after := ""
	for {
		page, err := cl.AccessOn(ctx, t, o, after)
		if err != nil && (after == "" || ctx.Err() != nil || problem.KindOf(err) != problem.Unavailable) {
			return err
		}
		if err == nil {
			if page.Lost {
				c.note("lines are missing here: the log is bounded, and they are not kept any more")
			}
			if err := c.accessLines(page.Lines); err != nil {
				return err
			}
			if after = page.Next; page.More {
				continue
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

func (c *console) accessLines(all []api.Access) error {
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
