// Package logbook keeps the last lines of containers that are gone: in files,
// of a bounded size per rollout, for a bounded time. It is for people who look
// for what went wrong, so a page that cannot be read is as good as none.
package logbook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/project"
	"havre/internal/spec"
)

// Book is a directory of pages: SERVICE/rROLLOUT/CONTAINER.SLOT. It may be used
// by several goroutines; one at a time may write.
type Book struct{ set Settings }

// Settings say where the pages are and how many stay.
type Settings struct {
	Dir   string
	Bytes int           // of each rollout's pages together; 0 keeps none
	Age   time.Duration // older pages go
}

// New makes a book; the directory is made with its first page.
func New(s Settings) *Book { return &Book{s} }

// line is a line as it is stored. Field names are short, for there are many.
type line struct {
	Time   time.Time `json:"t"`
	Stream string    `json:"s"`
	Text   string    `json:"x"`
}

func (b *Book) rollout(s spec.ServiceID, n int) string {
	return filepath.Join(b.set.Dir, string(s), "r"+strconv.Itoa(n))
}

func (b *Book) file(p project.Page) string {
	return filepath.Join(b.rollout(p.Service, p.Rollout), fmt.Sprintf("%s.%d", p.Container, p.Slot))
}

// Write puts a page of lines in the place of an older one of that container,
// the last ones if they are too many. share is among how many pages the
// rollout's bytes are divided; others' pages that are too much then go, oldest
// first. A page without lines is not written.
func (b *Book) Write(p project.Page, share int, lines func(yield func(api.Line) error) error) error {
	if b.set.Bytes == 0 {
		return nil
	}
	kept := tail{most: b.set.Bytes / max(1, share)}
	if err := lines(kept.add); err != nil {
		return err
	}
	if len(kept.lines) == 0 {
		return nil
	}
	if err := b.put(b.file(p), bytes.Join(kept.lines, nil)); err != nil {
		return fmt.Errorf("keep the log of container %.12s: %w", p.Container, err)
	}
	return b.fit(b.rollout(p.Service, p.Rollout))
}

// tail holds the last lines that fit.
type tail struct {
	most, size int
	lines      [][]byte
}

func (t *tail) add(l api.Line) error {
	text, err := json.Marshal(line{l.Time, l.Stream, l.Text})
	if err != nil {
		return err
	}
	t.lines = append(t.lines, append(text, '\n'))
	t.size += len(text) + 1
	for t.size > t.most && len(t.lines) > 0 {
		t.size -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
	return nil
}

// put writes a file whole or not at all.
func (b *Book) put(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	return err
}

// fit removes the oldest pages of a rollout that are too much.
func (b *Book) fit(dir string) error {
	found, err := pages(dir)
	if err != nil {
		return err
	}
	size := 0
	for _, f := range slices.Backward(found) {
		if size += int(f.Size()); size > b.set.Bytes {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// pages are the files of a rollout, oldest first; also what a killed process left.
func pages(dir string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []fs.FileInfo
	for _, e := range entries {
		if i, err := e.Info(); err == nil { // else it went meanwhile
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	return found, nil
}

// Pages tells what there is of a service's rollout, oldest first.
func (b *Book) Pages(_ context.Context, s spec.ServiceID, rollout int) ([]project.Page, error) {
	found, err := pages(b.rollout(s, rollout))
	if err != nil {
		return nil, fmt.Errorf("look for kept logs: %w", err)
	}
	var all []project.Page
	for _, f := range found {
		container, slot, dotted := strings.Cut(f.Name(), ".")
		n, err := strconv.Atoi(slot)
		if !dotted || container == "" || err != nil {
			continue
		}
		all = append(all, project.Page{Service: s, Rollout: rollout, Container: container, Slot: n, Written: f.ModTime()})
	}
	return all, nil
}

// Read gives the lines of a page. A page that is gone has none.
func (b *Book) Read(ctx context.Context, p project.Page, r project.Reading, yield func(api.Line) error) error {
	text, err := os.ReadFile(b.file(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read a kept log: %w", err)
	}
	var lines []api.Line
	for text := range bytes.Lines(text) {
		var l line
		if json.Unmarshal(text, &l) == nil && !l.Time.Before(r.Since) {
			lines = append(lines, api.Line{Time: l.Time, Stream: l.Stream, Text: l.Text})
		}
	}
	if r.Tail > 0 && len(lines) > r.Tail {
		lines = lines[len(lines)-r.Tail:]
	}
	for _, l := range lines {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(l); err != nil {
			return err
		}
	}
	return nil
}

// Tidy removes pages that are too old, and those of rollouts that wanted does
// not know.
func (b *Book) Tidy(wanted func(s spec.ServiceID, rollout int) bool, now time.Time) error {
	dirs, err := filepath.Glob(filepath.Join(b.set.Dir, "*", "r*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "r"))
		if err != nil {
			continue
		}
		found, err := pages(dir)
		if err != nil {
			return err
		}
		stays := wanted(spec.ServiceID(filepath.Base(filepath.Dir(dir))), n)
		left := len(found)
		for _, f := range found {
			if stays && now.Sub(f.ModTime()) <= b.set.Age {
				continue
			}
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove an old log: %w", err)
			}
			left--
		}
		if left == 0 { // a directory that is not empty stays
			_ = os.Remove(dir)
			_ = os.Remove(filepath.Dir(dir))
		}
	}
	return nil
}
