package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
)

// events writes server-sent events (HTML, 9.2). Whoever comes again with the
// number of the last one gets what it missed, and nothing twice.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Events == nil {
		return absent("events")
	}
	q, err := eventQuery(r)
	if err != nil {
		return err
	}
	out := newStream(w)
	out.content, out.silence = api.ContentEvents, ":\n\n"
	defer out.close()
	if q.Follow {
		if err := out.write([]byte("retry: 2000\n\n")); err != nil {
			return nil // who has gone cannot be told
		}
	}
	calm := s.calm(out)
	ctx, cancel := s.until(r)
	err = s.set.Backend.Events.Events(ctx, q, func(e api.Event) error {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return out.write(fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, text))
	})
	cancel()
	calm()
	switch {
	case err == nil && !out.started():
		_ = out.write(nil) // no events at all are an empty stream
	case err != nil && !out.started():
		return err
	}
	return nil // a reader that is cut off comes again
}

func eventQuery(r *http.Request) (q api.EventQuery, err error) {
	v := r.URL.Query()
	if q.Environment, err = environment(r); err != nil {
		return q, err
	}
	q.Project, q.Service, q.Kinds = v.Get("project"), v.Get("service"), v["kind"]
	for _, k := range q.Kinds {
		if !slices.Contains(api.EventKinds(), k) {
			return q, problem.New(problem.Invalid, "no event is of the kind %q", k).With("GET /v1/openapi.json lists them")
		}
	}
	after := v.Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		after = last // a browser that comes again asks for the same address
	}
	if after != "" {
		if q.After, err = strconv.ParseInt(after, 10, 64); err != nil || q.After < 0 {
			return q, problem.New(problem.Invalid, "%q is not an event's number", after).With("use the id of one that came")
		}
	}
	if since := v.Get("since"); since != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return q, problem.New(problem.Invalid, "parameter since is %q", since).With("use a time like 2026-01-31T12:00:00Z")
		}
	}
	q.Follow = true
	if v.Get("follow") != "" {
		q.Follow, err = truth(r, "follow")
	}
	return q, err
}
