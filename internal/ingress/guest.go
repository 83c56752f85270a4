package ingress

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"

	"havre/internal/problem"
	"havre/internal/route"
)

// errMoved is for who looked for a container in a table that is no more. Its
// routes lead elsewhere by now.
var errMoved = problem.New(problem.Unavailable, "the container is not in the table any more")

// guests counts the connections that are open to each container. Once a table
// without a container is followed its count only falls: at 0 the container may
// be stopped, and nobody notices.
type guests struct {
	mu    sync.Mutex // guards count
	count map[string]int
}

// guest is a connection to a container. Close may be called twice.
type guest struct {
	*net.TCPConn
	leave func()
}

// Close closes the connection and counts it no more.
func (g *guest) Close() error {
	defer g.leave()
	return g.TCPConn.Close()
}

// enter connects to a container of the table that is followed.
// Errors: errMoved.
func (f *front) enter(ctx context.Context, t route.Target) (*guest, error) {
	leave := f.register(t.Container)
	if leave == nil {
		return nil, errMoved
	}
	c, err := f.dial(ctx, t)
	if err != nil {
		leave()
		return nil, err
	}
	return &guest{c, leave}, nil
}

// register counts one more guest before it dials, unless the container is not
// in the table. Both happen under the lock under which the status counts, so
// who asks after a new table was followed misses nobody.
func (f *front) register(container string) (leave func()) {
	g := &f.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	if !f.now.Load().led[container] {
		return nil
	}
	g.count[container]++
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.count[container]--; g.count[container] == 0 {
			delete(g.count, container)
		}
	})
}

// open gives the counts.
func (g *guests) open() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.count)
}

func moved(err error) bool { return errors.Is(err, errMoved) }
