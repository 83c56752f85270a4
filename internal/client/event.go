package client

import (
	"bufio"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"havre/internal/api"
)

// Events hands on the events that q asks for. Following, it ends when the
// connection breaks; ask again with the last number to go on.
func (c *Client) Events(ctx context.Context, q api.EventQuery, yield func(api.Event) error) error {
	v := url.Values{"follow": {strconv.FormatBool(q.Follow)}}
	for name, value := range map[string]string{"env": q.Environment, "project": q.Project, "service": q.Service} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(q.Kinds) > 0 {
		v["kind"] = q.Kinds
	}
	if q.After > 0 {
		v.Set("after", strconv.FormatInt(q.After, 10))
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	resp, err := c.do(ctx, call{path: api.PathEvents, query: v})
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read, never written
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue // the data says it all
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return c.broken(ctx, err)
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.broken(ctx, err)
	}
	return nil
}
