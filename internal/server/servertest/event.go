package servertest

import (
	"context"

	"havre/internal/api"
	"havre/internal/spec"
)

// Happen makes an event of a service that may be unknown otherwise.
func (f *Fake) Happen(kind, service, says string) {
	f.set(func() {
		e := api.Event{ID: int64(len(f.events) + 1), Time: f.now(), Kind: kind, Environment: spec.DefaultEnvironment, Project: "shop", Service: service, Says: says}
		f.events = append(f.events, e)
	})
}

// events serves the API's events; Fake's own name is taken.
type events struct{ *Fake }

// Events gives what Happen was told.
func (f events) Events(ctx context.Context, q api.EventQuery, yield func(api.Event) error) error {
	for at := int(q.After); ; {
		f.mu.Lock()
		fresh := f.events[min(at, len(f.events)):]
		f.mu.Unlock()
		for _, e := range fresh {
			at++
			if !q.Takes(e) {
				continue
			}
			if err := yield(e); err != nil {
				return err
			}
		}
		if !q.Follow {
			return nil
		}
		if err := f.until(ctx, func() bool { return len(f.Fake.events) > at }); err != nil {
			return nil
		}
	}
}
