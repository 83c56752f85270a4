package main

import (
	"sync"
	"time"
)

// atOnceEach is how many connections to one container are made at a time. A
// container that hangs must not take the places that others need.
const atOnceEach = 16

// atGate is how long a burst may take to pass: a container that is well takes
// thousands of connections in this time, even on a small machine.
const atGate = time.Second

// gate lets a bounded number in for each container. The zero gate is open.
type gate struct {
	mu   sync.Mutex // guards each
	each map[string]*queue
}

type queue struct {
	inside chan struct{}
	users  int // inside or waiting
}

// enter waits a moment for a place. Who got one must leave.
func (g *gate) enter(id string) bool {
	q := g.join(id)
	select {
	case q.inside <- struct{}{}:
		return true
	default:
	}
	select {
	case q.inside <- struct{}{}:
		return true
	case <-time.After(atGate):
		g.part(id)
		return false
	}
}

// try is enter for who does not wait.
func (g *gate) try(id string) bool {
	select {
	case g.join(id).inside <- struct{}{}:
		return true
	default:
		g.part(id)
		return false
	}
}

func (g *gate) leave(id string) { <-g.part(id).inside }

func (g *gate) join(id string) *queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.each[id]
	if q == nil {
		q = &queue{inside: make(chan struct{}, atOnceEach)}
		if g.each == nil {
			g.each = map[string]*queue{}
		}
		g.each[id] = q
	}
	q.users++
	return q
}

func (g *gate) part(id string) *queue {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.each[id]
	if q.users--; q.users == 0 {
		delete(g.each, id)
	}
	return q
}
