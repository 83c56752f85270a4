// Package accesslog keeps who came to a service: a file of JSON lines for each,
// of bounded size. It never keeps a visitor waiting: what comes faster than the
// disk takes it is left out and counted.
package accesslog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
)

// Book is the access logs of all services. Make it with New, run it with Run.
type Book struct {
	dir  string
	most int64
	log  *slog.Logger
	work chan entry
	lost atomic.Int64
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
	mostOpen = 256
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
	if !nameForm.MatchString(service) {
		return // nobody's: a host that there is not
	}
	select {
	case b.work <- entry{service: service, line: line}:
	default:
		b.lost.Add(1)
	}
}

// file is a log that is open.
type file struct {
	f    *os.File
	w    *bufio.Writer
	size int64
}

// Run writes until ctx is done.
func (b *Book) Run(ctx context.Context) error {
	open := map[string]*file{}
	defer func() { b.closeAll(open) }()
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
				b.flush(open)
				close(e.done)
				continue
			}
			if err := b.write(open, e); err != nil {
				b.lost.Add(1)
			}
		case <-tick.C:
			b.flush(open)
			if n := b.lost.Swap(0); n > 0 {
				b.log.Warn("lines of access logs were left out", "lines", n)
			}
		case now := <-day.C:
			b.closeAll(open)
			b.sweep(now)
		}
	}
}

func (b *Book) write(open map[string]*file, e entry) error {
	f := open[e.service]
	if f == nil {
		if len(open) >= mostOpen {
			b.closeAll(open)
		}
		var err error
		if f, err = b.open(e.service); err != nil {
			return err
		}
		open[e.service] = f
	}
	text, err := json.Marshal(e.line)
	if err != nil {
		return err
	}
	n, err := f.w.Write(append(text, '\n'))
	f.size += int64(n)
	if err != nil || f.size < b.most {
		return err
	}
	delete(open, e.service)
	if err := errors.Join(f.w.Flush(), f.f.Close()); err != nil {
		return err
	}
	return os.Rename(b.path(e.service), b.path(e.service)+".1")
}

func (b *Book) path(service string) string { return filepath.Join(b.dir, service+".jsonl") }

func (b *Book) open(service string) (*file, error) {
	f, err := os.OpenFile(b.path(service), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o := &file{f, bufio.NewWriterSize(f, 16<<10), info.Size()}
	var end [1]byte
	if _, err := f.ReadAt(end[:], o.size-1); o.size > 0 && err == nil && end[0] != '\n' {
		_ = o.w.WriteByte('\n') // a kill cut the last line; the buffer is empty, so there is room
	}
	return o, nil
}

func (b *Book) flush(open map[string]*file) {
	for name, f := range open {
		if f.w.Flush() != nil {
			b.lost.Add(1)
			_ = f.f.Close() // the next line opens it again
			delete(open, name)
		}
	}
}

func (b *Book) closeAll(open map[string]*file) {
	b.flush(open)
	for name, f := range open {
		if err := f.f.Close(); err != nil {
			b.log.Warn("close an access log", "service", name, "problem", err)
		}
		delete(open, name)
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

// Last gives the newest lines of a service, oldest first: at most n, 0 is all
// that are kept, and none from before since. Run must be running.
// Errors: Invalid for what is no service's full name.
func (b *Book) Last(ctx context.Context, service string, n int, since time.Time) ([]api.Access, error) {
	if !nameForm.MatchString(service) {
		return nil, problem.New(problem.Invalid, "%q is no service's full name", service)
	}
	done := make(chan struct{})
	select {
	case b.work <- entry{done: done}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	all := []api.Access{}
	for _, name := range []string{b.path(service) + ".1", b.path(service)} {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			var a api.Access
			// A kill may have cut a line in its middle.
			if json.Unmarshal(line, &a) == nil && !a.Time.Before(since) {
				all = append(all, a)
			}
		}
	}
	if n > 0 && len(all) > n {
		all = slices.Clone(all[len(all)-n:])
	}
	return all, nil
}

// ServeHTTP answers on the ingress's control socket: ?service= &n= &since=.
func (b *Book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, err := strconv.Atoi(q.Get("n"))
	since, err2 := time.Parse(time.RFC3339Nano, q.Get("since"))
	if err != nil || err2 != nil || n < 0 {
		http.Error(w, "n or since is wrong", http.StatusBadRequest)
		return
	}
	all, err := b.Last(r.Context(), q.Get("service"), n, since)
	if err != nil {
		http.Error(w, strings.ReplaceAll(problem.Of(err).Says, "\n", " "), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // who has gone cannot be told
}
