package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/api"
	"havre/internal/problem"
)

// pageBytes is how much of a file a page is made of, at most.
const pageBytes = 1 << 20

// Last gives the newest lines of a service, oldest first: at most n, 0 is all
// that are kept, and none from before since. Next is where the lines go on that
// come later. Run must be running.
// Errors: Invalid for what is no service's full name.
func (b *Book) Last(ctx context.Context, service string, n int, since time.Time) (api.AccessPage, error) {
	v, err := b.look(ctx, service)
	if err != nil {
		return api.AccessPage{}, err
	}
	defer v.close()
	part, err := v.from(0, v.end())
	if err != nil {
		return api.AccessPage{}, err
	}
	all := slices.DeleteFunc(part.lines, func(a api.Access) bool { return a.Time.Before(since) })
	if n > 0 && len(all) > n {
		all = slices.Clone(all[len(all)-n:])
	}
	return api.AccessPage{Lines: all, Next: position(part.next)}, nil
}

// After gives lines of a service that come after a position, oldest first: a
// page of them. Lost tells that some there were are not kept any more, or that
// the position is none of this log. Run must be running.
// Errors: Invalid for what is no position, or no service's full name.
func (b *Book) After(ctx context.Context, service, after string) (api.AccessPage, error) {
	at, err := strconv.ParseInt(after, 10, 64)
	if err != nil || at < 0 {
		return api.AccessPage{}, problem.New(problem.Invalid, "%q is no position of an access log", after).With("use next of the answer before")
	}
	v, err := b.look(ctx, service)
	if err != nil {
		return api.AccessPage{}, err
	}
	defer v.close()
	p := api.AccessPage{Lines: []api.Access{}, Next: after}
	if len(v.pieces) == 0 {
		return p, nil // swept away: the newest line of it was old
	}
	if p.Lost = at > v.end() || at > 0 && at < v.pieces[0].at; at > v.end() {
		p.Next = position(v.end())
		return p, nil
	}
	part, err := v.from(at, pageBytes)
	p.Lines, p.Next, p.More = part.lines, position(part.next), part.full
	return p, err
}

func position(n int64) string { return strconv.FormatInt(n, 10) }

// view is a log as it was at one moment.
type view struct{ pieces []piece }

// piece is a file of a log.
type piece struct {
	f        *os.File
	at, size int64
}

// look opens a service's log when everything before is written.
func (b *Book) look(ctx context.Context, service string) (v view, err error) {
	if !nameForm.MatchString(service) {
		return v, problem.New(problem.Invalid, "%q is no service's full name", service)
	}
	done := make(chan struct{})
	select {
	case b.asks <- done:
	case <-ctx.Done():
		return v, ctx.Err()
	}
	select {
	case <-done:
	case <-ctx.Done():
		return v, ctx.Err()
	}
	unlock, err := b.lock(unix.LOCK_SH)
	if err != nil {
		return v, err
	}
	defer unlock()
	for _, name := range []string{b.former(service), b.path(service)} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			v.close()
			return view{}, err
		}
		p := piece{f: f, at: stands(f)}
		v.pieces = append(v.pieces, p)
		info, err := f.Stat()
		if err != nil {
			v.close()
			return view{}, err
		}
		v.pieces[len(v.pieces)-1].size = info.Size()
	}
	if len(v.pieces) == 2 {
		v.pieces[0].at = v.pieces[1].at - v.pieces[0].size // also where it has no mark
	}
	return v, nil
}

func (v view) close() {
	for _, p := range v.pieces {
		_ = p.f.Close() // read, never written
	}
}

func (v view) end() int64 {
	if len(v.pieces) == 0 {
		return 0
	}
	last := v.pieces[len(v.pieces)-1]
	return last.at + last.size
}

// part is some lines, and where the next one begins.
type part struct {
	lines []api.Access
	next  int64
	full  bool // it ends because it is long enough
}

// from reads the whole lines from a position on, of most bytes.
func (v view) from(at, most int64) (part, error) {
	all := part{lines: []api.Access{}, next: at}
	for _, p := range v.pieces {
		begin := max(all.next-p.at, 0)
		n := min(p.size-begin, most)
		if n <= 0 {
			continue
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(io.NewSectionReader(p.f, begin, n), text); err != nil {
			return all, err
		}
		whole := bytes.LastIndexByte(text, '\n') + 1
		if whole == 0 && n == pageBytes {
			whole = int(n) // no line of ours is so long
		}
		for line := range bytes.Lines(text[:whole]) {
			var a api.Access
			// A kill may have cut a line in its middle.
			if !bytes.HasPrefix(line, []byte(headMark)) && json.Unmarshal(line, &a) == nil {
				all.lines = append(all.lines, a)
			}
		}
		all.next = p.at + begin + int64(whole)
		if most -= n; most <= 0 {
			all.full = true
			break
		}
	}
	return all, nil
}

// ServeHTTP answers on the ingress's control socket: ?service= &n= &since=, or
// ?service= &after=.
func (b *Book) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var page api.AccessPage
	var err error
	if q.Has("after") {
		page, err = b.After(r.Context(), q.Get("service"), q.Get("after"))
	} else {
		n, err1 := strconv.Atoi(q.Get("n"))
		since, err2 := time.Parse(time.RFC3339Nano, q.Get("since"))
		if err1 != nil || err2 != nil || n < 0 {
			http.Error(w, "n or since is wrong", http.StatusBadRequest)
			return
		}
		page, err = b.Last(r.Context(), q.Get("service"), n, since)
	}
	if err != nil {
		http.Error(w, strings.ReplaceAll(problem.Of(err).Says, "\n", " "), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page) // who has gone cannot be told
}
