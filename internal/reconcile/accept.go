package reconcile

import (
	"context"
	"slices"
	"sync"

	"havre/internal/route"
	"havre/internal/service"
)

// accepted remembers which ports of which containers once took a connection.
type accepted struct {
	ingress Ingress

	mu sync.Mutex // guards ok
	ok map[string]map[uint16]bool
}

func newAccepted(i Ingress) *accepted {
	return &accepted{ingress: i, ok: map[string]map[uint16]bool{}}
}

// asker dials what is not known yet. Containers that are gone are forgotten.
// Its answer is for one goroutine.
func (a *accepted) asker(ctx context.Context, snap service.Snapshot) func(service.Task, []uint16) bool {
	environment := map[string]string{}
	for _, o := range snap.Services {
		for _, t := range o.Tasks {
			environment[t.Container] = o.Environment
		}
	}
	a.mu.Lock()
	for id := range a.ok {
		if _, there := environment[id]; !there {
			delete(a.ok, id)
		}
	}
	a.mu.Unlock()
	refused := map[string]bool{} // once a pass is enough: it may take seconds
	return func(t service.Task, ports []uint16) bool {
		for _, p := range ports {
			switch {
			case a.knows(t.Container, p):
				continue
			case refused[t.Container]:
				return false
			}
			err := a.ingress.Probe(ctx, route.Target{Environment: environment[t.Container], Container: t.Container, Address: t.Address, Port: p})
			if err != nil {
				refused[t.Container] = true
				return false
			}
			a.learn(t.Container, p)
		}
		return true
	}
}

func (a *accepted) knows(container string, port uint16) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ok[container][port]
}

func (a *accepted) learn(container string, port uint16) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ok[container] == nil {
		a.ok[container] = map[uint16]bool{}
	}
	a.ok[container][port] = true
}

// known answers from memory alone.
func (a *accepted) known(t service.Task, ports []uint16) bool {
	return !slices.ContainsFunc(ports, func(p uint16) bool { return !a.knows(t.Container, p) })
}
