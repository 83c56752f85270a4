package guard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// A walk through a volume ends after so long, or so many entries.
const (
	usageTime  = 30 * time.Second
	mostWalked = 5_000_000
)

// sector is the unit of a file's blocks, whatever the file system's (stat(2)).
const sector = 512

// volumeUsage counts what a volume takes on the disk.
func (g *Guard) volumeUsage(r *http.Request, c *dockercall.VolumeUsage) (dockercall.VolumeUse, error) {
	v := dockercall.Volume{Environment: c.Environment, Project: c.Project, Name: c.Name}
	use := dockercall.VolumeUse{Path: g.bounds.source(v)}
	fd, err := g.openVolume(v)
	if err != nil {
		return use, err
	}
	defer unix.Close(fd)
	ctx, stop := context.WithTimeout(r.Context(), usageTime)
	defer stop()
	linked := map[uint64]bool{} // files that were counted and have more names
	w := &walk{ctx: ctx, left: most(c.Most), met: func(e walked) error {
		use.Files++
		use.Modified = max(use.Modified, e.stat.Mtim.Sec)
		if e.stat.Nlink > 1 && e.is(unix.S_IFREG) {
			if linked[e.stat.Ino] {
				return nil
			}
			linked[e.stat.Ino] = true
		}
		use.Bytes += e.stat.Blocks * sector
		return nil
	}}
	err = w.directory(fd, 0)
	if errors.Is(err, errEnough) {
		use.Partial, err = true, nil
	}
	return use, err
}

func most(asked int64) int64 {
	if asked == 0 {
		return mostWalked
	}
	return min(asked, mostWalked)
}

// A volume's owner may change it under our feet, so nothing in one is named by
// a path: each directory is opened in the one before, never through a link.

// walked is what a walk meets: its name in dir, and what it is.
type walked struct {
	dir  int // of its directory
	name string
	stat unix.Stat_t
}

func (e walked) is(kind uint32) bool { return e.stat.Mode&unix.S_IFMT == kind }

// walk is a way through a directory. Met is called for each entry after all
// that is below it.
type walk struct {
	ctx  context.Context
	left int64 // entries that may still be met
	met  func(walked) error
}

// errEnough ends a walk that met as many entries as it may, or went too deep.
var errEnough = errors.New("there is more than may be looked at")

// deepest bounds how many directories a walk has open.
const deepest = 256

func (w *walk) directory(fd, depth int) error {
	if depth > deepest {
		return errEnough
	}
	// A descriptor of its own: to read a directory moves it on.
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	list := os.NewFile(uintptr(again), "volume")
	defer list.Close()
	for {
		names, err := list.Readdirnames(1000)
		for _, name := range names {
			if err := w.entry(fd, name, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *walk) entry(fd int, name string, depth int) error {
	if w.ctx.Err() != nil || w.left <= 0 {
		return errors.Join(errEnough, w.ctx.Err())
	}
	w.left--
	e := walked{dir: fd, name: name}
	if err := unix.Fstatat(fd, name, &e.stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return unlessGone(err)
	}
	if e.is(unix.S_IFDIR) {
		below, err := openBelow(fd, name)
		if err != nil {
			return unlessGone(err)
		}
		err = unlessGone(w.directory(below, depth+1)) // a kernel says ENOENT of one that was removed meanwhile
		if err := errors.Join(err, unix.Close(below)); err != nil {
			return err
		}
	}
	return unlessGone(w.met(e))
}

// openBelow opens a directory in another one. A link is none.
func openBelow(fd int, name string) (int, error) {
	return unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// unlessGone forgives what the volume's owner did meanwhile.
func unlessGone(err error) error {
	for _, meanwhile := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENOTEMPTY, unix.EEXIST, unix.EISDIR} {
		if errors.Is(err, meanwhile) {
			return nil
		}
	}
	return err
}

// openVolume opens a volume's top directory. All above it are the guard's.
// Errors: NotFound.
func (g *Guard) openVolume(v dockercall.Volume) (int, error) {
	fd, err := unix.Openat(unix.AT_FDCWD, filepath.Clean(g.bounds.source(v)), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		err = problem.New(problem.NotFound, "no volume %s", v.Name)
	}
	return fd, err
}
