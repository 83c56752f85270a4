package ingress

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"havre/internal/route"
)

// tally counts what comes to one service.
type tally struct {
	open, connections, in, out, took atomic.Int64 // took: nanoseconds
	requests                         [6]atomic.Int64
	latency                          []atomic.Int64
}

// tallies has one for each service.
type tallies struct{ by sync.Map } // of *tally

func (ts *tallies) of(service string) *tally {
	if t, there := ts.by.Load(service); there {
		return t.(*tally)
	}
	t, _ := ts.by.LoadOrStore(service, &tally{latency: make([]atomic.Int64, len(route.LatencyBounds)+1)})
	return t.(*tally)
}

// counts gives all, sorted, and forgets services that no route leads to.
func (f *front) counts() route.Counts {
	led := map[string]bool{"": true}
	v := f.now.Load()
	for _, by := range []map[uint16]*way{v.tcp, v.udp} {
		for _, w := range by {
			led[w.service] = true
		}
	}
	for _, ways := range v.http {
		for _, w := range ways {
			led[w.service] = true
		}
	}
	for _, w := range v.pass {
		led[w.service] = true
	}
	all := route.Counts{Counts: []route.Count{}}
	f.tallies.by.Range(func(key, value any) bool {
		service, t := key.(string), value.(*tally)
		if !led[service] && t.open.Load() == 0 {
			f.tallies.by.Delete(key)
			return true
		}
		all.Counts = append(all.Counts, t.count(service))
		return true
	})
	slices.SortFunc(all.Counts, func(a, b route.Count) int { return cmp.Compare(a.Service, b.Service) })
	return all
}

func (t *tally) count(service string) route.Count {
	c := route.Count{
		Service: service, Open: t.open.Load(), Connections: t.connections.Load(), In: t.in.Load(), Out: t.out.Load(),
		Seconds: time.Duration(t.took.Load()).Seconds(),
	}
	for i := range t.requests {
		c.Requests = append(c.Requests, t.requests[i].Load())
	}
	for i := range t.latency {
		c.Latency = append(c.Latency, t.latency[i].Load())
	}
	return c
}

// answered counts a request that is over.
func (t *tally) answered(status int, took time.Duration) {
	class := status / 100
	if class < 1 || class >= len(t.requests) {
		class = 0
	}
	t.requests[class].Add(1)
	t.took.Add(int64(took))
	bucket, _ := slices.BinarySearch(route.LatencyBounds, took.Seconds())
	t.latency[bucket].Add(1)
}

// Recorder hears of each request and of each connection when it is over. It is
// called by many at once and must not keep them waiting.
type Recorder interface {
	Request(Request)
	Connection(Connection)
}

// Request is an HTTP request that was answered, by a service or for it.
type Request struct {
	ID       string
	Service  string // env.project.service; "" when no service has the host
	Client   netip.Addr
	Method   string
	Host     string
	Path     string // as the client wrote it, without the query, which may hold secrets
	Protocol string // "HTTP/1.1", "HTTP/2.0"
	Secure   bool
	Status   int   // 0 when the client left first
	In, Out  int64 // bytes of bodies
	Began    time.Time
	Took     time.Duration
	Replica  string // the container that had it; "" when none did
}

// Connection is a TCP connection or a UDP flow that ended.
type Connection struct {
	Service string // env.project.service
	Listen  string // ":25/tcp"
	Client  netip.Addr
	Denied  bool  // it was turned away
	In, Out int64 // bytes from and to the client
	Began   time.Time
	Took    time.Duration
}

// unheard is for whoever does not listen.
type unheard struct{}

// Request forgets it.
func (unheard) Request(Request) {}

// Connection forgets it.
func (unheard) Connection(Connection) {}
