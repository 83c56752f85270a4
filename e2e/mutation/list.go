package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutation is a promise taken out of the code, and the tests that must notice.
type mutation struct {
	says  string // what was broken, as the tables of docs/design have it
	place string // file:line of the list
	edits []edit
	tests []ask
}

// onlyEngine tells whether nobody notices without an engine.
func (m mutation) onlyEngine() bool {
	return !slices.ContainsFunc(m.tests, func(a ask) bool { return !a.engine })
}

// edit replaces the one place where old stands in file. Lines, without the
// newline of the last one.
type edit struct {
	file     string
	old, new []string
}

// ask names tests of one package that must each turn red.
type ask struct {
	pkg    string
	names  []string
	engine bool // they ask a binary made of the broken code
	tree   bool // they read the tree, so they run in a copy of it
}

// lists reads the mutations of the files that match pattern.
func lists(pattern string) ([]mutation, error) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no list is %s: %w", pattern, err)
	}
	var all []mutation
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		some, err := parse(file, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// parse reads a list: "== what is broken", "file PATH" before each edit, its
// lines behind "-" and "+", and "test PACKAGE NAME…", "engine PACKAGE NAME…", or
// "tree PACKAGE NAME…" for tests that read files which are not compiled; engines
// are asked in a copy of the tree where such a file is broken. Lines that begin
// with "#" are for people.
func parse(file, text string) ([]mutation, error) {
	var all []mutation
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		place := fmt.Sprintf("%s:%d", file, n+1)
		says, begins := strings.CutPrefix(line, "== ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case begins:
			all = append(all, mutation{says: says, place: place})
		case len(all) == 0:
			return nil, fmt.Errorf("%s: %q stands before the first \"==\"", place, line)
		default:
			if err := all[len(all)-1].take(line); err != nil {
				return nil, fmt.Errorf("%s: %w", place, err)
			}
		}
	}
	for _, m := range all {
		if len(m.edits) == 0 || len(m.tests) == 0 {
			return nil, fmt.Errorf("%s: %q breaks nothing or asks nobody", m.place, m.says)
		}
	}
	return all, nil
}

func (m *mutation) take(line string) error {
	if line[0] == '-' || line[0] == '+' {
		if len(m.edits) == 0 {
			return fmt.Errorf("%q belongs to no file", line)
		}
		e := &m.edits[len(m.edits)-1]
		if line[0] == '-' {
			e.old = append(e.old, line[1:])
		} else {
			e.new = append(e.new, line[1:])
		}
		return nil
	}
	f := strings.Fields(line)
	switch {
	case f[0] == "file" && len(f) == 2:
		m.edits = append(m.edits, edit{file: f[1]})
	case (f[0] == "test" || f[0] == "engine" || f[0] == "tree") && len(f) > 2:
		m.tests = append(m.tests, ask{pkg: f[1], names: f[2:], engine: f[0] == "engine", tree: f[0] == "tree"})
	default:
		return fmt.Errorf("%q says neither file, test, engine nor tree", line)
	}
	return nil
}

// broken gives the text of each file as m leaves it, by path below root.
func (m mutation) broken(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range m.edits {
		text, there := files[e.file]
		if !there {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.place, err)
			}
			text = string(b)
		}
		changed, err := e.apply(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.place, err)
		}
		files[e.file] = changed
	}
	return files, nil
}

// apply looks for whole lines, whatever they are indented by.
func (e edit) apply(text string) (string, error) {
	lines := strings.Split(text, "\n")
	at := -1
	for i := range lines {
		if !slices.EqualFunc(lines[i:min(i+len(e.old), len(lines))], e.old, sameLine) {
			continue
		}
		if at >= 0 {
			return "", fmt.Errorf("%s has the lines twice, at %d and %d", e.file, at+1, i+1)
		}
		at = i
	}
	if at < 0 || len(e.old) == 0 {
		return "", fmt.Errorf("%s has no longer the lines %q: break the promise where it is kept now", e.file, e.old)
	}
	return strings.Join(slices.Concat(lines[:at], e.new, lines[at+len(e.old):]), "\n"), nil
}

func sameLine(a, b string) bool { return strings.TrimSpace(a) == strings.TrimSpace(b) }
