package cert

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// maxFile bounds a certificate's file: a chain and a key have some thousand bytes.
const maxFile = 1 << 20

// File is a certificate that somebody put in place.
type File struct {
	Leaf
	Name string // of the file
}

// Files reads the certificates in dir, *.pem with the chain and the key in
// each, the one that ends last first. Those that can't serve are left out and
// are in wrong, by the file's name, with the reason. Without dir there are none.
func Files(dir string, now time.Time) (good []File, wrong map[string]string) {
	wrong = map[string]string{}
	files, _ := filepath.Glob(filepath.Join(dir, "*.pem")) // the pattern is well formed
	for _, file := range files {
		name := filepath.Base(file)
		l, err := readPair(file, now)
		if err != nil {
			wrong[name] = err.Error()
			continue
		}
		good = append(good, File{l, name})
	}
	slices.SortStableFunc(good, func(a, b File) int { return cmp.Or(b.NotAfter.Compare(a.NotAfter), cmp.Compare(a.Name, b.Name)) })
	return good, wrong
}

func readPair(file string, now time.Time) (Leaf, error) {
	info, err := os.Stat(file)
	if err != nil {
		return Leaf{}, plain(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return Leaf{}, errors.New("it is no file, or too big for a certificate")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Leaf{}, fmt.Errorf("it holds a key and others may read it; make its mode 0600, not %04o", info.Mode().Perm())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return Leaf{}, plain(err)
	}
	l, err := parsePair(b)
	switch {
	case err != nil:
		return Leaf{}, err
	case now.After(l.NotAfter):
		return Leaf{}, fmt.Errorf("it ended on %s", l.NotAfter.Format(time.DateOnly))
	case now.Before(l.parsed.NotBefore):
		return Leaf{}, fmt.Errorf("it begins on %s", l.parsed.NotBefore.Format(time.DateOnly))
	case len(l.parsed.DNSNames) == 0 && len(l.parsed.IPAddresses) == 0:
		return Leaf{}, errors.New("it names no host")
	}
	return l, nil
}

// plain is an error of the file system without the path, which the reader has.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
