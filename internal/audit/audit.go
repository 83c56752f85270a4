// Package audit keeps on the disk what the guard let be done, what it let be
// read, and what it refused: a JSON line each. Each of the three has files of
// its own, so that none of them can push another one out.
package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"havre/internal/dockercall"
)

// Entry is one line.
type Entry struct {
	Time   time.Time       `json:"time"` // Write sets it
	UID    uint32          `json:"uid"`
	PID    int32           `json:"pid"`
	Kind   dockercall.Kind `json:"kind,omitempty"` // none: not understood
	Method string          `json:"method"`
	Path   string          `json:"path"`             // as it was sent
	Object string          `json:"object,omitempty"` // its id, or its name
	Name   string          `json:"name,omitempty"`   // what the engine calls the object
	dockercall.Deed
	Decision Decision   `json:"decision"`
	Rule     string     `json:"rule,omitempty"`
	Says     string     `json:"says,omitempty"`
	Count    int        `json:"count,omitempty"` // so many equal ones since Since, this one included
	Since    *time.Time `json:"since,omitempty"`
}

// Decision is what became of a call.
type Decision string

// The decisions.
const (
	Allowed Decision = "allowed"
	Refused Decision = "refused"
)

const day = 24 * time.Hour

// bound is how long lines are kept, and how many bytes of them at most.
type bound struct {
	age   time.Duration
	bytes int64
	file  int64 // a file is set aside at this size
}

// The books by their files' names. Refusals are joined, so theirs is small.
var books = []struct {
	name string
	bound
}{
	changes: {"audit.jsonl", bound{400 * day, 512 << 20, 32 << 20}},
	reads:   {"audit-read.jsonl", bound{400 * day, 128 << 20, 16 << 20}},
	refused: {"audit-refused.jsonl", bound{400 * day, 128 << 20, 16 << 20}},
}

// The books.
const (
	changes = iota
	reads
	refused
)

// Log is the audit. Its methods may be called by many at a time.
type Log struct {
	books []*book
	equal *joined
}

// Open opens the audit in a directory. What goes wrong besides writing a line
// is said to log.
func Open(dir string, log *slog.Logger) (*Log, error) {
	l := &Log{}
	for _, b := range books {
		opened, err := openBook(filepath.Join(dir, b.name), b.bound, log)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.books = append(l.books, opened)
	}
	l.equal = &joined{to: l.books[refused], heaps: map[heapKey]*heap{}}
	return l, nil
}

// Write records e; a line that stands is on the disk when it returns. What
// cannot be recorded must not be done. Of equal refusals some are counted only.
func (l *Log) Write(e Entry) error {
	e.trim()
	switch {
	case e.Decision != Allowed:
		return l.equal.write(e)
	case dockercall.Changes(e.Kind):
		return l.books[changes].write(e)
	}
	return l.books[reads].write(e)
}

// Close ends the audit; what was only counted gets its line.
func (l *Log) Close() error {
	var errs []error
	if l.equal != nil {
		errs = append(errs, l.equal.flush())
	}
	for _, b := range l.books {
		errs = append(errs, b.close())
	}
	return errors.Join(errs...)
}

// encode makes the line of e, with < and > as they are.
func encode(e Entry) ([]byte, error) {
	var line bytes.Buffer
	out := json.NewEncoder(&line)
	out.SetEscapeHTML(false)
	err := out.Encode(e) // with the end of the line
	return line.Bytes(), err
}
