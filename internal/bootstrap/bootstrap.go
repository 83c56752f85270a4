// Package bootstrap makes base images out of a distribution's own packages,
// so that nobody needs a registry to begin with. It works on the machine of
// whoever asks, with mmdebstrap, and gives an archive as docker load takes it.
//
// The same packages give the same image: what differs between two runs, and
// what no container needs (manuals, translations, package lists), is left out.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"havre/internal/problem"
)

// Request says what image to make.
type Request struct {
	Suite    string            // a release's name, "bookworm"
	Name     string            // of the image; "" is debian:SUITE
	Packages []string          // besides those that every system has
	Mirror   string            // URL; "" is Debian's own, with security updates
	Dir      string            // where to work, some 600 MB; "" is the usual place for such files
	Progress func(line string) // hears of each step; nil: nobody does
}

// suites are the releases that are known anywhere; others are known where
// debootstrap is installed.
var suites = []string{"bullseye", "bookworm", "trixie", "forky", "sid", "oldoldstable", "oldstable", "stable", "testing", "unstable"}

// scripts has a file for each release that debootstrap knows.
const scripts = "/usr/share/debootstrap/scripts"

var (
	suiteForm   = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)
	packageForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]+$`)
	mirrorForm  = regexp.MustCompile(`^(https?|file)://[^\s'"]+$`)
)

// Debian makes a minimal Debian. The archive is the caller's to close, which
// removes what was written for it. Nothing is left behind after an error, or
// when ctx ends before.
//
// Errors: Invalid for what no image can be made of; NotFound when the mirror
// lacks the suite or a package; Unavailable when a tool is missing or the
// mirror cannot be reached; Failed for the rest, a full disk among it.
func Debian(ctx context.Context, r Request) (*Archive, error) {
	if err := r.complete(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.Dir, "havre-bootstrap-")
	if err != nil {
		return nil, fmt.Errorf("make image %s: %w", r.Name, err)
	}
	a, err := r.make(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return a, nil
}

func (r *Request) complete() error {
	if r.Name == "" {
		r.Name = "debian:" + r.Suite
	}
	if r.Progress == nil {
		r.Progress = func(string) {}
	}
	if !suiteForm.MatchString(r.Suite) || !known(r.Suite) {
		return problem.New(problem.Invalid, "there is no Debian release %q that is known here", r.Suite).
			With("use one of %s", strings.Join(suites[:5], ", "))
	}
	for _, p := range r.Packages {
		if !packageForm.MatchString(p) {
			return problem.New(problem.Invalid, "%q is not the name of a package", p)
		}
	}
	if r.Mirror != "" && !mirrorForm.MatchString(r.Mirror) {
		return problem.New(problem.Invalid, "%q is not a mirror's address", r.Mirror).With("write it like http://deb.debian.org/debian")
	}
	return nil
}

func known(suite string) bool {
	if slices.Contains(suites, suite) {
		return true
	}
	_, err := os.Stat(filepath.Join(scripts, suite))
	return err == nil
}

func (r *Request) make(ctx context.Context, dir string) (*Archive, error) {
	// Without root's rights the system is put together by another user, who
	// has to get through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	m := mirror{request: r, dir: dir}
	made, err := m.date(ctx)
	if err != nil {
		return nil, err
	}
	rootfs, err := os.Create(filepath.Join(dir, "rootfs.tar"))
	if err != nil {
		return nil, err
	}
	if err := m.debootstrap(ctx, made, rootfs); err != nil {
		return nil, errors.Join(err, rootfs.Close())
	}
	r.Progress("packing the image")
	a, err := pack(r.Name, made, rootfs)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make image %s: %w", r.Name, err), rootfs.Close())
	}
	a.dir = dir
	return a, nil
}

// Archive is an image, to be read once, as docker load takes it.
type Archive struct {
	io.Reader
	Name string // with its tag
	ID   string // sha256:…
	Size int64  // of the archive, in bytes

	rootfs *os.File
	dir    string
}

// Close removes what the archive was made of. It may be called twice.
func (a *Archive) Close() error {
	err := a.rootfs.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(a.dir))
}
