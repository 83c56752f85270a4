package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Line is a line as it stands, and what it says. Of one that was cut by a full
// disk only the text is there.
type Line struct {
	Entry
	Text string
}

// Query says which lines are wanted.
type Query struct {
	Last    int  // so many, the last ones; 0 is all
	Refused bool // only what was refused
}

// Read gives the lines of the audit in a directory, in the order of their
// times. Files are read as the lines are taken.
//
// Errors: fs.ErrNotExist when there is no audit, fs.ErrPermission.
func Read(dir string, q Query) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		lines, err := open(dir, q)
		if err != nil {
			yield(Line{}, err)
			return
		}
		if q.Last > 0 {
			lines = last(lines, q.Last)
		}
		for l, err := range lines {
			if !yield(l, err) || err != nil {
				return
			}
		}
	}
}

// open merges the books that are asked for.
func open(dir string, q Query) (iter.Seq2[Line, error], error) {
	first := filepath.Join(dir, books[changes].name)
	if _, err := os.Stat(first); err != nil {
		if old, _ := asideOf(first); len(old) == 0 {
			return nil, err
		}
	}
	var merged iter.Seq2[Line, error]
	for i := range books {
		if q.Refused && i != refused {
			continue
		}
		files, err := filesOf(filepath.Join(dir, books[i].name), q.Last)
		if err != nil {
			return nil, err
		}
		lines := inFiles(files)
		if merged != nil {
			lines = merge(merged, lines)
		}
		merged = lines
	}
	return merged, nil
}

// filesOf are a book's files, the oldest first; of a number of last lines only
// those that may hold them.
func filesOf(path string, most int) ([]string, error) {
	old, err := asideOf(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	for _, o := range slices.Backward(old) {
		if most > 0 {
			n, err := count(files[0])
			if err != nil {
				return nil, err
			}
			if most -= n; most <= 0 {
				break
			}
		}
		files = slices.Insert(files, 0, filepath.Join(filepath.Dir(path), o.Name()))
	}
	return files, nil
}

func count(file string) (int, error) {
	n := 0
	for _, err := range inFiles([]string{file}) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// inFiles gives the lines of files one after the other.
func inFiles(files []string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var before time.Time
		for _, file := range files {
			for l, err := range inFile(file) {
				if l.Time.IsZero() {
					l.Time = before // of a line that was cut
				}
				before = l.Time
				if !yield(l, err) {
					return
				}
			}
		}
	}
}

// inFile gives the lines of a file. One that is gone was set aside or removed
// meanwhile.
func inFile(file string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Line{}, err)
			return
		}
		defer f.Close()
		for r := bufio.NewReaderSize(f, longest); ; {
			text, err := nextLine(r)
			if err != nil && text == "" {
				if !errors.Is(err, io.EOF) {
					yield(Line{}, err)
				}
				return
			}
			l := Line{Text: text}
			if json.Unmarshal([]byte(text), &l.Entry) != nil {
				l.Entry = Entry{}
			}
			if text != "" && !yield(l, nil) {
				return
			}
		}
	}
}

// longest is more than any line has that was written here.
const longest = 64 << 10

// nextLine reads a line, and no more than the beginning of one that is far too
// long: what a machine without power left there.
func nextLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	text := string(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		text = "(a line that is none)"
		_, err = r.ReadSlice('\n')
	}
	return strings.TrimSuffix(text, "\n"), err
}

// merge puts two orders of lines into one.
func merge(a, b iter.Seq2[Line, error]) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, err, there := next()
		for l, errA := range a {
			for there && errA == nil && (err != nil || other.Time.Before(l.Time)) {
				if !yield(other, err) {
					return
				}
				other, err, there = next()
			}
			if !yield(l, errA) {
				return
			}
		}
		for there && yield(other, err) {
			other, err, there = next()
		}
	}
}

// last gives the last n lines.
func last(lines iter.Seq2[Line, error], n int) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		var kept []Line
		for l, err := range lines {
			if err != nil {
				yield(l, err)
				return
			}
			if kept = append(kept, l); len(kept) == 2*n { // keeps memory small over long files
				kept = append([]Line(nil), kept[n:]...)
			}
		}
		for _, l := range kept[max(0, len(kept)-n):] {
			if !yield(l, nil) {
				return
			}
		}
	}
}
