// Package disk opens, makes and writes files where a path alone is not enough:
// who owns a directory can put a link, or another file, in a name's place at
// any moment. So root holds the directory open, finds what is below it from
// there, follows no link on the way or at the end, and looks at what it opened
// before it uses it. It also writes files whole or not at all.
package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
)

// Owner is a user and a group by number; -1 leaves what there is.
type Owner struct{ UID, GID int }

// Dir is an open directory. Names are relative to it and may have several
// parts, none of which is a link.
type Dir struct{ file *os.File }

// Open opens a directory whose own path nobody but root can change: links in
// that are root's, and are followed. The caller closes it.
func Open(dir string) (*Dir, error) {
	f, err := os.OpenFile(filepath.Clean(dir), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{f}, nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return d.file.Close() }

func (d *Dir) path(name string) string { return filepath.Join(d.file.Name(), name) }

// open opens a name as openat2(2) does, which Linux has since 5.6.
func (d *Dir) open(name string, flags int) (*os.File, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(d.file.Fd()), path.Clean(name), &how)
	for err == unix.EINTR {
		fd, err = unix.Openat2(int(d.file.Fd()), path.Clean(name), &how)
	}
	if err == unix.ELOOP || err == unix.EXDEV {
		return nil, d.denied(name, "is a link, or lies behind one, which root does not follow").With("put the thing itself there: ls -l %s", d.path(name))
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path(name), Err: err}
	}
	return os.NewFile(uintptr(fd), d.path(name)), nil
}

func (d *Dir) denied(name, why string) *problem.Problem {
	return problem.New(problem.Denied, "%s %s", d.path(name), why)
}

// above opens the directory that a name stands in.
func (d *Dir) above(name string) (*Dir, string, error) {
	f, err := d.open(path.Dir(name), unix.O_RDONLY|unix.O_DIRECTORY)
	return &Dir{f}, path.Base(name), err
}

// Stat looks at a name, and at a link itself where one stands there.
func (d *Dir) Stat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	f, err := d.open(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return st, err
	}
	defer f.Close()
	return st, unix.Fstat(int(f.Fd()), &st)
}

// Regular opens a regular file for reading that has no other name and belongs
// to one of the users. The caller closes it.
// Errors: Denied when it is another thing or another's; fs.ErrNotExist.
func (d *Dir) Regular(name string, users ...int) (*os.File, error) {
	f, err := d.open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1:
		err = d.denied(name, "is not a plain file with one name").With("look at it, and remove it: ls -l %s", d.path(name))
	case !slices.Contains(users, int(st.Uid)):
		err = d.denied(name, fmt.Sprintf("belongs to user %d and must belong to user %d", st.Uid, users[len(users)-1])).
			With("look at it, then: chown %d %s", users[len(users)-1], d.path(name))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Read reads a user's private file of at most so many bytes.
// Errors: as of Regular; Denied when others may read it, or it is longer.
func (d *Dir) Read(name string, user int, most int64) ([]byte, error) {
	f, err := d.Regular(name, user)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, d.denied(name, "may be read or changed by others than its owner").With("chmod go= %s", d.path(name))
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = d.denied(name, "is too long").With("look at it: ls -l %s", d.path(name))
	}
	return text, err
}

// Mkdir makes a directory.
// Errors: fs.ErrExist when something stands there.
func (d *Dir) Mkdir(name string, o Owner, mode uint32) error {
	in, base, err := d.above(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := unix.Mkdirat(int(in.file.Fd()), base, 0o700); err != nil {
		return &fs.PathError{Op: "mkdir", Path: d.path(name), Err: err}
	}
	return in.Set(base, o, mode)
}

// Set gives a directory its owner and mode, with the bits 07000.
func (d *Dir) Set(name string, o Owner, mode uint32) error {
	f, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := errors.Join(unix.Fchown(int(f.Fd()), o.UID, o.GID), unix.Fchmod(int(f.Fd()), mode)); err != nil {
		return &fs.PathError{Op: "set owner and mode of", Path: d.path(name), Err: err}
	}
	return nil
}

// Write puts a file in place whole or not at all, flushed to the disk. What
// stands there is replaced; it is not opened.
func (d *Dir) Write(name string, text []byte, o Owner, mode uint32) error {
	in, base, err := d.above(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.write(base, text, o, mode); err != nil {
		return fmt.Errorf("write %s: %w", d.path(name), err)
	}
	return nil
}

func (d *Dir) write(name string, text []byte, o Owner, mode uint32) error {
	fd, draft := int(d.file.Fd()), ".new-"+rand.Text()
	n, err := unix.Openat(fd, draft, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(n), d.path(draft))
	_, err = f.Write(text)
	for _, then := range []func() error{
		func() error { return unix.Fchown(n, o.UID, o.GID) },
		func() error { return unix.Fchmod(n, mode) },
		f.Sync,
	} {
		if err == nil {
			err = then()
		}
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = unix.Renameat(fd, draft, fd, name)
	}
	if err != nil {
		_ = unix.Unlinkat(fd, draft, 0) // the first failure says more
		return err
	}
	return d.file.Sync()
}

// WriteFile puts a file in place whole or not at all, flushed to the disk, in a
// directory of the caller's own.
func WriteFile(file string, text []byte, mode uint32) error {
	d, err := Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Write(filepath.Base(file), text, Owner{-1, -1}, mode)
}

// Remove removes a file, or a link itself.
func (d *Dir) Remove(name string) error {
	in, base, err := d.above(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := unix.Unlinkat(int(in.file.Fd()), base, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: d.path(name), Err: err}
	}
	return nil
}

// Glob gives the names that match a pattern of path.Match. What cannot be
// looked at has no names below it.
func (d *Dir) Glob(pattern string) []string {
	found := []string{"."}
	for part := range strings.SplitSeq(pattern, "/") {
		var next []string
		for _, dir := range found {
			for _, name := range d.names(dir) {
				if ok, err := path.Match(part, name); ok && err == nil {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	return found
}

func (d *Dir) names(dir string) []string {
	f, err := d.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1) // those that were read
	slices.Sort(names)
	return names
}

// Dial connects to a socket. Its directory's path nobody but root can change;
// the socket itself is no link and has no other name.
// Errors: Denied for a link or another thing; else as of net.Dialer.
func Dial(ctx context.Context, network, socket string) (net.Conn, error) {
	d, err := Open(filepath.Dir(socket))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	name := filepath.Base(socket)
	f, err := d.open(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Nlink != 1 {
		return nil, d.denied(name, "is not a socket with one name").With("name the socket itself: ls -l %s", socket)
	}
	// This name is the kernel's, and leads to the very socket that was looked at.
	return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}
