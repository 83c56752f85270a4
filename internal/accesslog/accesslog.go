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
	"time"

	"havre/internal/api"
)

// Book is the access logs of all services. Make it with New, run it with Run.
type Book struct {
	dir  string
	most int64
	log  *slog.Logger
	asks chan chan struct{} // closed when everything before is on its way to the disk
	full chan struct{}      // there is so much that the next pause is too far
	room heap               // of the lines written last, for others; Run's

	mu    sync.Mutex // guards what follows
	heap  heap
	lost  int
	known map[string]bool // names of services that have the form
}

const (
	pause    = 500 * time.Millisecond
	fileLife = 30 * 24 * time.Hour // of a log that nothing is added to
	mostHeap = 256 << 10           // bytes that wait for the next pause
	waiting  = 1 << 20             // bytes that wait at all
)

// New makes a book in a directory that exists. Each service's file grows to
// most bytes; then it takes the place of the older one. It does nothing yet.
func New(dir string, most int64, log *slog.Logger) *Book {
	return &Book{dir: dir, most: most, log: log, asks: make(chan chan struct{}), full: make(chan struct{}, 1), known: map[string]bool{}}
}

// nameForm is environment.project.service: a file's name, and nothing else.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*){2}$`)

// Add keeps a line. It never waits for the disk.
func (b *Book) Add(service string, line api.Access) {
	if service == "" {
		return // nobody's: a host that there is not
	}
	var room [512]byte
	text, err := appendLine(room[:0], &line)
	if err != nil {
		return // an Access is numbers and strings
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.known[service] {
		if !nameForm.MatchString(service) {
			return
		}
		b.known[service] = true
	}
	if len(b.heap.text)+len(text) > waiting {
		b.lost++
		return
	}
	b.heap.add(service, text)
	if len(b.heap.text) >= mostHeap {
		select {
		case b.full <- struct{}{}:
		default: // it is said already
		}
	}
}

// Run writes until ctx is done, and then what was added before.
func (b *Book) Run(ctx context.Context) error {
	defer b.flush()
	b.sweep(time.Now())
	tick, day := time.NewTicker(pause), time.NewTicker(24*time.Hour)
	defer tick.Stop()
	defer day.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case done := <-b.asks:
			b.flush()
			close(done)
		case <-b.full:
			b.flush()
		case <-tick.C:
			b.flush()
			if n := b.left(); n > 0 {
				b.log.Warn("lines of access logs were left out", "lines", n)
			}
		case now := <-day.C:
			b.sweep(now)
		}
	}
}

// left is how many lines were left out since it was asked last.
func (b *Book) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.lost
	b.lost = 0
	return n
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
