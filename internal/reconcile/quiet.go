package reconcile

import (
	"context"
	"slices"
	"sync"

	"havre/internal/project"
	"havre/internal/route"
	"havre/internal/service"
)

// quiet answers whether nobody is connected to a rollout's containers, and
// nobody can be: the ingress has acknowledged a table without them, and still
// follows it. What it does not say is not so. It is asked once a pass at most.
func (l *Loop) quiet(ctx context.Context) func(service.Observed) bool {
	ask := sync.OnceValues(func() (map[string]int, bool) {
		if l.told == "" {
			return nil, false
		}
		s, err := l.hands.Status(ctx)
		if err != nil {
			return nil, false
		}
		if s.Digest != l.told {
			l.told = "" // it lost its table; this pass gives it another
			return nil, false
		}
		return s.Open, true
	})
	return func(o service.Observed) bool {
		open, known := ask()
		return known && !slices.ContainsFunc(o.Live(), func(t service.Task) bool {
			return l.led[t.Container] || open[t.Container] > 0
		})
	}
}

// containers are those that a table leads to.
func containers(t route.Table) map[string]bool {
	led := map[string]bool{}
	for c := range t.Containers() {
		led[c] = true
	}
	return led
}

// lingers tells whether a rollout that left is still there, because somebody is
// connected to it.
func (w *work) lingers(s *project.Service) bool {
	return slices.ContainsFunc(w.view.Snapshot.Services, func(o service.Observed) bool {
		return o.ID == s.ID && o.SwarmID != "" && o.Rollout != s.Active && o.Rollout != s.Target
	})
}
