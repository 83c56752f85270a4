package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// heap is lines, and whose they are.
type heap struct {
	text   []byte
	owners []owner // in the order of text
}

// owner is a service to which so many bytes belong.
type owner struct {
	service string
	size    int
}

func (h *heap) add(service string, line []byte) {
	h.text = append(h.text, line...)
	if n := len(h.owners); n > 0 && h.owners[n-1].service == service {
		h.owners[n-1].size += len(line)
		return
	}
	h.owners = append(h.owners, owner{service, len(line)})
}

// sorted gives each service its text.
func (h *heap) sorted() map[string][]byte {
	by, rest := map[string][]byte{}, h.text
	for _, o := range h.owners {
		before, there := by[o.service]
		if there {
			by[o.service] = append(before, rest[:o.size]...)
		} else {
			by[o.service] = rest[:o.size:o.size] // most are alone
		}
		rest = rest[o.size:]
	}
	return by
}

// flush writes what waits. While it does, others may wait in its stead.
func (b *Book) flush() {
	b.mu.Lock()
	now := b.heap
	b.heap = b.room
	b.mu.Unlock()
	if len(now.text) == 0 {
		b.room = heap{} // in quiet times it takes no memory
		return
	}
	unlock, err := b.lock(unix.LOCK_EX)
	lost := 0
	for service, text := range now.sorted() {
		failed := err
		if failed == nil {
			failed = b.append(service, text)
		}
		if failed != nil {
			lost += bytes.Count(text, []byte("\n"))
		}
	}
	if err == nil {
		unlock()
	}
	b.room = heap{now.text[:0], now.owners[:0]}
	b.mu.Lock()
	b.lost += lost
	b.mu.Unlock()
}

// lock keeps the files as they are: for as long as an ingress that was replaced
// has visitors, two processes write them.
func (b *Book) lock(how int) (unlock func(), err error) {
	d, err := os.Open(b.dir)
	if err != nil {
		return nil, err
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(d.Fd()), how)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return func() { _ = d.Close() }, nil // which unlocks
}

func (b *Book) path(service string) string { return filepath.Join(b.dir, service+".jsonl") }

func (b *Book) former(service string) string { return b.path(service) + ".1" }

// append writes whole lines, and begins a new file where the old one is full.
func (b *Book) append(service string, text []byte) error {
	for len(text) > 0 {
		part, err := b.appendSome(service, text)
		if err != nil {
			return err
		}
		text = text[part:]
	}
	return nil
}

func (b *Book) appendSome(service string, text []byte) (n int, err error) {
	f, err := os.OpenFile(b.path(service), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	var before []byte
	var end [1]byte
	switch _, err := f.ReadAt(end[:], max(size-1, 0)); {
	case size == 0:
		before = b.head(service)
	case err != nil:
		return 0, err
	case end[0] != '\n':
		before = []byte{'\n'} // a kill cut the last line
	}
	n = len(text)
	if room := b.most - size - int64(len(before)); room < int64(n) {
		n = int(max(room, 0))
		n += bytes.IndexByte(text[n:], '\n') + 1
	}
	out := text[:n]
	if before != nil {
		out = append(before, out...)
	}
	if _, err := f.Write(out); err != nil {
		return 0, err
	}
	if size+int64(len(before)+n) >= b.most {
		err = os.Rename(b.path(service), b.former(service))
	}
	return n, err
}

// A position of a log is a number of bytes from its beginning, of all that were
// ever written. Each file begins with a line that says where it stands.
const (
	headMark = `{"from":`
	headForm = headMark + `"%d"}` + "\n"
	longHead = 64
	unmarked = 1 << 40 // where a file stands that has no such line, as of old
)

// head is the first line of a new file: it goes on where the former one ends.
// Where there is none it stands where no position of a log that is gone can be:
// a log grows by less than a byte a nanosecond.
func (b *Book) head(service string) []byte {
	at := time.Now().UnixNano()
	if f, err := os.Open(b.former(service)); err == nil {
		info, err := f.Stat()
		if err == nil {
			at = stands(f) + info.Size()
		}
		_ = f.Close() // read, never written
	}
	return fmt.Appendf(nil, headForm, at)
}

// stands reads where a file stands.
func stands(f io.ReaderAt) int64 {
	var first [longHead]byte
	n, _ := f.ReadAt(first[:], 0) // a file may be shorter than that
	var at int64
	if _, err := fmt.Sscanf(string(first[:n]), headForm, &at); err != nil {
		return unmarked
	}
	return at
}
