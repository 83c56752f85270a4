package ingress

import (
	"bufio"
	"cmp"
	"io"
	"net"
	"net/http"
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
	for _, w := range v.tcp {
		led[w.service] = true
	}
	for _, w := range v.http {
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

// visit is one request on its way, for what is to be told of it.
type visit struct {
	http.ResponseWriter
	body      io.ReadCloser
	began     time.Time
	status    int
	in, out   int64
	container string // that answered
}

type visitOf struct{}

// WriteHeader notes the status; those before 200 are not the last word, but
// for the one that ends HTTP.
func (v *visit) WriteHeader(status int) {
	if v.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		v.status = status
	}
	v.ResponseWriter.WriteHeader(status)
}

// Write counts bytes.
func (v *visit) Write(b []byte) (int, error) {
	if v.status == 0 {
		v.status = http.StatusOK
	}
	n, err := v.ResponseWriter.Write(b)
	v.out += int64(n)
	return n, err
}

// Hijack is how a connection leaves HTTP (RFC 9110, 7.8).
func (v *visit) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(v.ResponseWriter).Hijack()
	if err == nil && v.status == 0 {
		v.status = http.StatusSwitchingProtocols
	}
	return c, rw, err
}

// Unwrap lets http.ResponseController flush.
func (v *visit) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// Read counts what the client sends.
func (v *visit) Read(b []byte) (int, error) {
	n, err := v.body.Read(b)
	atomic.AddInt64(&v.in, int64(n)) // a transport may still read after it has answered
	return n, err
}

// Close closes the request's body.
func (v *visit) Close() error { return v.body.Close() }

// counted counts every request, by the service that its host meant.
func (f *front) counted(next func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		service := ""
		if w := f.now.Load().http[hostName(r.Host)]; w != nil {
			service = w.service
		}
		v := &visit{ResponseWriter: rw, began: time.Now(), body: r.Body}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = v
		}
		t := f.tallies.of(service)
		t.open.Add(1)
		defer func() {
			t.open.Add(-1)
			t.in.Add(atomic.LoadInt64(&v.in))
			t.out.Add(v.out)
			t.answered(v.status, time.Since(v.began))
		}()
		next(v, r)
	})
}
