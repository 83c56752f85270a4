package audit

import (
	"errors"
	"sync"
	"time"

	"havre/internal/dockercall"
)

// Of equal refusals so many have a line each in such a time. Of those that
// follow each has one whose number is a power of two: nobody fills the book,
// and a guard that is killed has told at least half of them.
const joinedAfter, joinedFor = 32, time.Hour

// mostHeaps bounds what is counted at a time.
const mostHeaps = 4096

// heapKey is what makes refusals equal. What the caller may choose freely, as
// method and path, is not in it.
type heapKey struct {
	uid  uint32
	kind dockercall.Kind
	rule string
}

type heap struct {
	since time.Time
	count int
	last  *Entry // that has no line
}

// joined writes refusals to a book.
type joined struct {
	to *book

	mu    sync.Mutex // guards what follows
	heaps map[heapKey]*heap
	swept time.Time
}

func (j *joined) write(e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	late := j.sweep(now)
	key := heapKey{e.UID, e.Kind, e.Rule}
	h := j.heaps[key]
	if h == nil {
		h = &heap{since: now.UTC()}
		j.heaps[key] = h
	}
	h.count++
	if h.count > joinedAfter {
		e.Count, e.Since = h.count, &h.since
	}
	if h.count > joinedAfter && h.count&(h.count-1) != 0 {
		h.last = &e
		return late
	}
	h.last = nil
	return errors.Join(late, j.to.write(e))
}

// sweep ends the counts whose time is over. It looks once a minute.
func (j *joined) sweep(now time.Time) error {
	if now.Sub(j.swept) < time.Minute && len(j.heaps) < mostHeaps {
		return nil
	}
	j.swept = now
	return j.end(func(h *heap) bool { return now.Sub(h.since) >= joinedFor || len(j.heaps) >= mostHeaps })
}

// flush ends all counts.
func (j *joined) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end(func(*heap) bool { return true })
}

func (j *joined) end(over func(*heap) bool) error {
	var errs []error
	for key, h := range j.heaps {
		if !over(h) {
			continue
		}
		delete(j.heaps, key)
		if h.last != nil {
			errs = append(errs, j.to.write(*h.last))
		}
	}
	return errors.Join(errs...)
}
