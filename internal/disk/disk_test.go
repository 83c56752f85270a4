package disk_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"havre/internal/disk"
	"havre/internal/problem"
)

var me = os.Getuid()

// place is a directory of another's, with what root means to find in it and
// what it must not reach.
func place(t *testing.T) (dir string, d *disk.Dir) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "theirs")
	for _, f := range []string{filepath.Join(top, "outside", "secret"), filepath.Join(dir, "in", "token")} {
		if err := os.MkdirAll(filepath.Dir(f), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(filepath.Base(f)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return dir, d
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestFileIsReadWhereItIsWhatItShouldBe(t *testing.T) {
	_, d := place(t)
	text, err := d.Read("in/token", me, 5)
	if err != nil || string(text) != "token" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := d.Read("in/none", me, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is not there: %v", err)
	}
}

// Each is a thing that somebody put in the place of in/token.
func TestWhatStandsInAFilesPlaceIsNotRead(t *testing.T) {
	for name, put := range map[string]func(dir, file string) error{
		"a link outside":        func(_, file string) error { return os.Symlink("../../outside/secret", file) },
		"a link inside":         func(_, file string) error { return os.Symlink("other", file) },
		"a link behind a link":  func(dir, _ string) error { return relink(dir, "../outside") },
		"a directory behind it": func(dir, _ string) error { return relink(dir, ".") },
		"another name of it":    func(dir, file string) error { return os.Link(filepath.Join(dir, "../outside/secret"), file) },
		"a pipe":                func(_, file string) error { return syscall.Mkfifo(file, 0o600) },
		"a directory":           func(_, file string) error { return os.Mkdir(file, 0o700) },
		"a socket": func(_, file string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
		"one that others may read": func(_, file string) error {
			return errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Chmod(file, 0o644))
		},
		"a long one": func(_, file string) error { return os.WriteFile(file, []byte(strings.Repeat("x", 100)), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, d := place(t)
			file := filepath.Join(dir, "in", "token")
			must(t, os.WriteFile(filepath.Join(dir, "in", "other"), []byte("other"), 0o600), os.WriteFile(filepath.Join(dir, "token"), []byte("top"), 0o600), os.Remove(file))
			must(t, put(dir, file))
			if text, err := d.Read("in/token", me, 10); err == nil {
				t.Errorf("it is read: %q", text)
			}
		})
	}
	_, d := place(t)
	if _, err := d.Read("in/token", me+1, 10); problem.KindOf(err) != problem.Denied || !strings.Contains(problem.Of(err).Remedy, "chown") {
		t.Errorf("of another owner: %v", err)
	}
	for _, name := range []string{"../outside/secret", "in/../../outside/secret", "/etc/hostname"} {
		if text, err := d.Read(name, me, 1000); err == nil {
			t.Errorf("%s is read: %q", name, text)
		}
	}
}

// relink puts a link in the place of the directory in.
func relink(dir, to string) error {
	in := filepath.Join(dir, "in")
	return errors.Join(os.RemoveAll(in), os.Symlink(to, in), os.WriteFile(filepath.Join(dir, "../outside/token"), []byte("x"), 0o600))
}

// Who puts a link in a directory's place would have root change another thing.
func TestNothingIsChangedBehindALink(t *testing.T) {
	dir, d := place(t)
	outside := filepath.Join(dir, "../outside")
	must(t, os.Chmod(outside, 0o750), os.Symlink("../outside", filepath.Join(dir, "out")), os.Symlink("../../outside/secret", filepath.Join(dir, "in", "link")))
	same := disk.Owner{UID: -1, GID: -1}
	for what, err := range map[string]error{
		"set":            d.Set("out", same, 0o777),
		"mkdir":          d.Mkdir("out/new", same, 0o700),
		"mkdir in place": d.Mkdir("out", same, 0o777),
		"write":          d.Write("out/new", nil, same, 0o600),
		"remove":         d.Remove("out/secret"),
	} {
		if err == nil {
			t.Errorf("%s: it is done", what)
		}
	}
	must(t, d.Write("in/link", []byte("new"), same, 0o600)) // the link itself is replaced
	text, err := os.ReadFile(filepath.Join(outside, "secret"))
	info, ierr := os.Stat(outside)
	if err != nil || ierr != nil || string(text) != "secret" || info.Mode().Perm() != 0o750 {
		t.Errorf("outside is %q, %v, %v, %v", text, info.Mode(), err, ierr)
	}
	if found, err := os.ReadDir(outside); err != nil || len(found) != 1 {
		t.Errorf("outside has %v, %v", found, err)
	}
	if st, err := d.Stat("in/link"); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		t.Errorf("what was written is %o, %v", st.Mode, err)
	}
	if st, err := d.Stat("out"); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFLNK {
		t.Errorf("a link is looked at as %o, %v", st.Mode, err)
	}
	must(t, d.Remove("out"))
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

func TestDirectoriesAndFilesGetTheirModeWhole(t *testing.T) {
	dir, d := place(t)
	own := disk.Owner{UID: me, GID: os.Getgid()}
	must(t, d.Mkdir("in/new", own, 0o2750), d.Write("in/new/file", []byte("text"), own, 0o640))
	if err := d.Mkdir("in/new", own, 0o700); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "in/new"))
	if err != nil || info.Mode() != fs.ModeDir|fs.ModeSetgid|0o750 {
		t.Errorf("the directory is %v, %v", info.Mode(), err)
	}
	must(t, disk.WriteFile(filepath.Join(dir, "in/new/file"), []byte("other"), 0o600))
	text, err := os.ReadFile(filepath.Join(dir, "in/new/file"))
	if err != nil || string(text) != "other" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if got, want := d.Glob("in/*/*"), []string{"in/new/file"}; !slices.Equal(got, want) {
		t.Errorf("there is %v; want %v: no draft stays", got, want)
	}
}

func TestNamesBehindALinkAreNotFound(t *testing.T) {
	dir, d := place(t)
	must(t, os.Symlink("../outside", filepath.Join(dir, "out")))
	if got, want := d.Glob("*"), []string{"in", "out"}; !slices.Equal(got, want) {
		t.Errorf("there is %v; want %v", got, want)
	}
	if got, want := d.Glob("*/*"), []string{"in/token"}; !slices.Equal(got, want) {
		t.Errorf("below there is %v; want %v", got, want)
	}
}

func TestSocketIsReachedUnlessALinkLeadsToIt(t *testing.T) {
	dir, err := os.MkdirTemp("", "disk") // t.TempDir is too long for a socket's name
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, network := range []string{"unix", "unixpacket"} {
		at := filepath.Join(dir, network)
		l, err := net.Listen(network, at)
		must(t, err)
		t.Cleanup(func() { l.Close() })
		c, err := disk.Dial(t.Context(), network, at)
		if err != nil {
			t.Errorf("%s: %v", network, err)
			continue
		}
		c.Close()
		must(t, os.Symlink(at, at+".link"))
		if _, err := disk.Dial(t.Context(), network, at+".link"); problem.KindOf(err) != problem.Denied {
			t.Errorf("%s by a link: %v", network, err)
		}
		must(t, os.Link(at, at+".again"))
		if _, err := disk.Dial(t.Context(), network, at); problem.KindOf(err) != problem.Denied {
			t.Errorf("%s with another name: %v", network, err)
		}
	}
	if _, err := disk.Dial(t.Context(), "unix", filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is not there: %v", err)
	}
}
