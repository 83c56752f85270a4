package cli

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"havre/internal/problem"
)

// tree is the context of a build: a directory without what is to be ignored.
type tree struct {
	dir    string
	keep   string // the Dockerfile, which is sent in any case
	ignore *patternmatcher.PatternMatcher
}

// newTree reads the ignore file: that of the Dockerfile, as BuildKit does it,
// else .dockerignore.
func newTree(dir, dockerfile string) (*tree, error) {
	for _, name := range []string{dockerfile + ".dockerignore", ".dockerignore"} {
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var patterns []string
		if err == nil {
			patterns, err = ignorefile.ReadAll(f)
			_ = f.Close() // read, never written
		}
		var m *patternmatcher.PatternMatcher
		if err == nil {
			m, err = patternmatcher.New(patterns)
		}
		if err != nil {
			return nil, problem.New(problem.Invalid, "read %s", filepath.Join(dir, name)).Because(err).With("mend the pattern, or remove the file")
		}
		return &tree{dir, dockerfile, m}, nil
	}
	m, err := patternmatcher.New(nil)
	return &tree{dir, dockerfile, m}, err
}

// pack writes the tree as a tar, in the order of names. Owners are left out:
// whoever builds here is not known there.
func (t *tree) pack(to io.Writer) error {
	w := tar.NewWriter(to)
	above := map[string]patternmatcher.MatchInfo{}
	err := filepath.WalkDir(t.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(t.dir, path)
		if err != nil || rel == "." {
			return err
		}
		ignored, info, err := t.ignore.MatchesUsingParentResults(rel, above[filepath.Dir(rel)])
		if err != nil {
			return err
		}
		if d.IsDir() {
			above[rel] = info
		}
		switch {
		case ignored && filepath.ToSlash(rel) != t.keep && !d.IsDir():
			return nil
		case ignored && d.IsDir() && !t.ignore.Exclusions() && !within(t.keep, rel):
			return filepath.SkipDir
		case ignored && d.IsDir():
			return nil // what is below may be wanted; its directories come with it
		}
		return add(w, path, rel)
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// within tells whether a file is somewhere below a directory.
func within(file, dir string) bool {
	rel, err := filepath.Rel(dir, filepath.FromSlash(file))
	return err == nil && filepath.IsLocal(rel)
}

// add writes a file, directory or symbolic link; sockets, pipes and devices
// mean nothing elsewhere.
func add(w *tar.Writer, path, rel string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	link := ""
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	case !mode.IsRegular() && !mode.IsDir():
		return nil
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = filepath.ToSlash(rel)
	if info.IsDir() {
		h.Name += "/"
	}
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read, never written
	_, err = io.CopyN(w, f, h.Size)
	return err
}
