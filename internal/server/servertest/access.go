package servertest

import (
	"context"
	"strconv"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
)

// visited is what came later: a line, a break, one that others were lost before,
// and then the service is removed.
func (f *Fake) visited(after string, at time.Time) (api.AccessPage, error) {
	line := api.Access{Time: at, Client: "192.0.2.9", Protocol: "HTTP/2.0", Method: "GET", Host: "shop.test", Status: 200}
	switch f.visits++; after + "/" + strconv.Itoa(f.visits) {
	case "0/1":
		line.Path = "/slow"
		return api.AccessPage{Lines: []api.Access{line}, Next: "1", More: true}, nil
	case "1/2":
		return api.AccessPage{}, problem.New(problem.Unavailable, "the ingress does not answer")
	case "1/3":
		line.Path = "/late"
		return api.AccessPage{Lines: []api.Access{line}, Next: "2", Lost: true}, nil
	}
	return api.AccessPage{}, problem.New(problem.NotFound, "the service was removed at %s", after)
}

// Access has two for each service.
func (f *Fake) Access(_ context.Context, t api.Target, o api.LogOptions, after string) (api.AccessPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.one(t); err != nil {
		return api.AccessPage{}, err
	}
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	all := []api.Access{
		{Time: at, ID: "r1", Client: "192.0.2.7", Protocol: "HTTP/1.1", Method: "GET", Host: "shop.test", Path: "/a", Status: 200, Out: 17, Seconds: 0.25, Replica: "0123456789abcdef"},
		{Time: at.Add(time.Minute), Client: "192.0.2.8", Protocol: ":25/tcp", In: 5, Out: 6, Seconds: 2},
	}
	if after != "" {
		return f.visited(after, at)
	}
	if o.Tail > 0 && o.Tail < len(all) {
		all = all[len(all)-o.Tail:]
	}
	return api.AccessPage{Lines: all, Next: "0"}, nil
}
