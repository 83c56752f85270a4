package cert

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"havre/internal/problem"
)

// Leaf gives the certificate for exactly these hosts that was issued before,
// and a new one when there is none or it is due. Asked again it gives the same
// one, also after a restart; ask about once a day, and whenever hosts change.
// Errors: as Issue; Failed when the certificate cannot be kept.
func (a *Authority) Leaf(hosts []string, now time.Time) (Leaf, error) {
	file := a.leafFile(hosts)
	if l, ok := a.kept(file, hosts); ok && !l.Due(now) {
		return l, nil
	}
	l, err := a.Issue(hosts, now)
	if err == nil {
		if err = keep(file, []byte(l.Chain+l.Key.Reveal())); err != nil {
			err = problem.New(problem.Failed, "keep a certificate").Because(err)
		}
	}
	if err != nil {
		return Leaf{}, err
	}
	return l, nil
}

func (a *Authority) leafFile(hosts []string) string {
	sum := sha256.Sum256([]byte(strings.Join(normal(hosts), "\n")))
	return filepath.Join(a.dir, "leaf-"+hex.EncodeToString(sum[:16])+".pem")
}

// kept reads a leaf. One that is spoilt, or of another root, is as good as none.
func (a *Authority) kept(file string, hosts []string) (Leaf, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Leaf{}, false
	}
	l, err := parseLeaf(b)
	if err != nil || l.parsed.CheckSignatureFrom(a.root) != nil {
		return Leaf{}, false
	}
	covers := func(h string) bool { return l.parsed.VerifyHostname(strings.Replace(h, "*", "any", 1)) == nil }
	return l, !slices.ContainsFunc(hosts, func(h string) bool { return !covers(h) })
}

// sweep removes leaves that have ended, and what a crash left half written.
func (a *Authority) sweep(now time.Time) error {
	leaves, _ := filepath.Glob(filepath.Join(a.dir, "leaf-*.pem")) // the pattern is well formed
	for _, file := range leaves {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if l, err := parseLeaf(b); err == nil && now.Before(l.NotAfter) {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	halves, _ := filepath.Glob(filepath.Join(a.dir, ".new-*"))
	for _, file := range halves {
		if i, err := os.Stat(file); err == nil && now.Sub(i.ModTime()) > time.Hour { // younger ones may be someone's work
			os.Remove(file)
		}
	}
	return nil
}

// keep writes file so that a crash leaves the old or the new.
func keep(file string, b []byte) error {
	next, err := written(file, b)
	if err != nil {
		return err
	}
	if err := os.Rename(next, file); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return syncDir(file)
}

// keepFirst does so unless file is already there.
func keepFirst(file string, b []byte) error {
	next, err := written(file, b)
	if err != nil {
		return err
	}
	defer os.Remove(next)
	if err := os.Link(next, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(file)
}

// written is a new file beside file with b in it, on disk, readable by us alone.
func written(file string, b []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // 0600 by its contract
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func syncDir(file string) error {
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
