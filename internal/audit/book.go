package audit

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// book is a file that lines are appended to, and the older ones that were set
// aside: the file's name with a dot and the time behind it.
type book struct {
	path string
	bound
	log *slog.Logger

	mu   sync.Mutex // guards what follows
	file *os.File
	size int64
	full int64 // set aside at this size
	torn bool  // the file ends in the middle of a line
}

func openBook(path string, bound bound, log *slog.Logger) (*book, error) {
	b := &book{path: path, bound: bound, log: log}
	if err := b.open(); err != nil {
		return nil, err
	}
	b.prune()
	return b, nil
}

// open opens the file anew; what is open stays so when that fails.
func (b *book) open() error {
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	last := []byte{'\n'}
	if info.Size() > 0 {
		if _, err := f.ReadAt(last, info.Size()-1); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if b.file != nil {
		b.warn("close the audit's old file", b.file.Close())
	}
	b.file, b.size, b.full, b.torn = f, info.Size(), b.bound.file, last[0] != '\n'
	return nil
}

// write appends e. A disk that is full may cut a line; the next one starts on
// its own.
func (b *book) write(e Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Time = time.Now().UTC() // in here, so that lines are in their order
	line, err := encode(e)
	if err != nil {
		return err
	}
	if b.size+int64(len(line)) > b.full && b.size > 0 {
		if err := b.setAside(); err != nil {
			// What is open still takes lines.
			b.warn("set the audit's file aside", err)
			b.full = b.size + b.bound.file/32
		}
	}
	if b.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := b.file.Write(line)
	b.size += int64(n)
	b.torn = b.torn && n == 0 || n > 0 && n < len(line)
	return errors.Join(err, b.file.Sync())
}

// setAside goes on in a new file. The old one may have its new name already:
// then it was the opening that failed the last time.
func (b *book) setAside() error {
	aside := b.path + "." + time.Now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(b.path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := b.open(); err != nil {
		return err
	}
	b.prune()
	return syncDir(filepath.Dir(b.path))
}

// prune removes what is too old, and the oldest of what is too much.
func (b *book) prune() {
	old, err := asideOf(b.path)
	b.warn("look for the audit's old files", err)
	left := b.bytes - b.bound.file
	for _, o := range slices.Backward(old) {
		left -= o.Size()
		young := time.Since(o.ModTime()) < b.age
		if young && left >= 0 {
			continue
		}
		if young {
			b.log.Warn("the audit is full; its oldest lines go before their time", "file", o.Name(), "until", o.ModTime())
		}
		b.warn("remove an old file of the audit", os.Remove(filepath.Join(filepath.Dir(b.path), o.Name())))
	}
}

// asideOf gives the files that were set aside, the oldest first. They are told
// apart by when they were last written: earlier versions numbered them.
func asideOf(path string) ([]fs.FileInfo, error) {
	here, err := os.ReadDir(filepath.Dir(path))
	var all []fs.FileInfo
	for _, f := range here {
		if !strings.HasPrefix(f.Name(), filepath.Base(path)+".") {
			continue
		}
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	return all, err
}

func (b *book) warn(what string, err error) {
	if err != nil {
		b.log.Warn(what, "err", err)
	}
}

func (b *book) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.file.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
