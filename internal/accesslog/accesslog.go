// Package accesslog keeps who came to a service: a file of JSON lines for each,
// of bounded size. It never keeps a visitor waiting: what comes faster than the
// disk takes it is left out and counted.
package accesslog

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"havre/internal/api"
)

// Book is the access logs of all services. Make it with New, run it with Run.
type Book struct {
	dir  string
	most int64
	log  *slog.Logger
	work chan entry
	lost atomic.Int64

	known sync.Map // names of services that have the form
}

// entry is a line for a service; with done it asks instead to be told when
// everything before it is on its way to the disk.
type entry struct {
	service string
	line    api.Access
	done    chan struct{}
}

const (
	waiting  = 8192 // lines that wait to be written
	pause    = 500 * time.Millisecond
	fileLife = 30 * 24 * time.Hour // of a log that nothing is added to
	mostHeap = 256 << 10           // bytes that wait for the next pause
)

// New makes a book in a directory that exists. Each service's file grows to
// most bytes; then it takes the place of the older one. It does nothing yet.
func New(dir string, most int64, log *slog.Logger) *Book {
	return &Book{dir: dir, most: most, log: log, work: make(chan entry, waiting)}
}

// nameForm is environment.project.service: a file's name, and nothing else.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*){2}$`)

// Add keeps a line. It never waits.
func (b *Book) Add(service string, line api.Access) {
	if _, known := b.known.Load(service); !known {
		if !nameForm.MatchString(service) {
			return // nobody's: a host that there is not
		}
		b.known.Store(service, nil)
	}
	select {
	case b.work <- entry{service: service, line: line}:
	default:
		b.lost.Add(1)
	}
}

// Run writes until ctx is done, and then what was added before.
func (b *Book) Run(ctx context.Context) error {
	heap := &heap{lines: map[string][]byte{}}
	defer func() { b.rest(heap) }()
	b.sweep(time.Now())
	tick, day := time.NewTicker(pause), time.NewTicker(24*time.Hour)
	defer tick.Stop()
	defer day.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-b.work:
			if e.done != nil {
				b.flush(heap)
				close(e.done)
				continue
			}
			if heap.add(e); heap.size >= mostHeap {
				b.flush(heap)
			}
		case <-tick.C:
			b.flush(heap)
			if n := b.lost.Swap(0); n > 0 {
				b.log.Warn("lines of access logs were left out", "lines", n)
			}
		case now := <-day.C:
			b.sweep(now)
		}
	}
}

// rest writes what nobody has taken up yet.
func (b *Book) rest(h *heap) {
	for {
		select {
		case e := <-b.work:
			if e.done == nil {
				h.add(e)
				continue
			}
			b.flush(h)
			close(e.done)
		default:
			b.flush(h)
			return
		}
	}
}

// sweep removes logs that nothing was added to for long.
func (b *Book) sweep(now time.Time) {
	files, _ := filepath.Glob(filepath.Join(b.dir, "*.jsonl*")) // the pattern is well formed
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && now.Sub(info.ModTime()) > fileLife {
			_ = os.Remove(f) // tomorrow tries again
		}
	}
}
