package servertest

import (
	"context"
	"time"

	"havre/internal/api"
)

// Access has two for each service.
func (f *Fake) Access(_ context.Context, t api.Target, o api.LogOptions) ([]api.Access, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.one(t); err != nil {
		return nil, err
	}
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	all := []api.Access{
		{Time: at, ID: "r1", Client: "192.0.2.7", Protocol: "HTTP/1.1", Method: "GET", Host: "shop.test", Path: "/a", Status: 200, Out: 17, Seconds: 0.25, Replica: "0123456789abcdef"},
		{Time: at.Add(time.Minute), Client: "192.0.2.8", Protocol: ":25/tcp", In: 5, Out: 6, Seconds: 2},
	}
	if o.Tail > 0 && o.Tail < len(all) {
		all = all[len(all)-o.Tail:]
	}
	return all, nil
}
