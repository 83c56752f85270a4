package guard_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"havre/internal/guard"
	"havre/internal/problem"
)

// tree makes a directory with data of some kinds.
func tree(t *testing.T, dir string) {
	t.Helper()
	err := errors.Join(
		os.MkdirAll(dir+"/sub/empty", 0o750),
		os.WriteFile(dir+"/sub/note", []byte("kept\n"), 0o604),
		os.Symlink("/etc/passwd", dir+"/link"),
		os.Link(dir+"/sub/note", dir+"/twin"),
		os.Chmod(dir, 0o711),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func isTree(t *testing.T, name, dir string) {
	t.Helper()
	text, err := os.ReadFile(dir + "/sub/note")
	target, err2 := os.Readlink(dir + "/link")
	info, err3 := os.Stat(dir)
	note, err4 := os.Stat(dir + "/sub/note")
	twin, err5 := os.Stat(dir + "/twin")
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if string(text) != "kept\n" || target != "/etc/passwd" || info.Mode().Perm() != 0o711 || note.Mode().Perm() != 0o604 || !os.SameFile(note, twin) {
		t.Errorf("%s: %q, %s, %v, %v", name, text, target, info.Mode(), note.Mode())
	}
}

// What a guard that was killed at any line of a copy leaves, and what a whole
// move leaves: the next call ends each alike.
func TestTransferKilledAnywhereLosesNothing(t *testing.T) {
	for name, left := range map[string]func(t *testing.T, from, to string){
		"before it began": func(t *testing.T, from, _ string) { tree(t, from+"/_data") },
		"before the copy": func(t *testing.T, from, _ string) { tree(t, from+"/._data.leaving") },
		"in the copy": func(t *testing.T, from, to string) {
			tree(t, from+"/._data.leaving")
			if err := os.MkdirAll(to+"/.vol.coming/sub", 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"before the copy counts": func(t *testing.T, from, to string) { tree(t, from+"/._data.leaving"); tree(t, to+"/.vol.coming") },
		"before the original goes": func(t *testing.T, from, to string) {
			tree(t, from+"/._data.leaving")
			tree(t, to+"/vol")
		},
		"at the end": func(t *testing.T, _, to string) { tree(t, to+"/vol") },
		"before an empty directory": func(t *testing.T, from, to string) {
			tree(t, from+"/_data")
			if err := os.Mkdir(to+"/vol", 0o700); err != nil {
				t.Fatal(err)
			}
		},
	} {
		from, to := t.TempDir(), t.TempDir()
		left(t, from, to)
		for range 2 { // the second has nothing to do
			if _, err := guard.Transfer(t.Context(), from+"/_data", to+"/vol"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		isTree(t, name, to+"/vol")
		for _, dir := range []string{from, to} {
			rest, err := os.ReadDir(dir)
			if err != nil || len(rest) > 1 || dir == from && len(rest) > 0 {
				t.Errorf("%s: %s holds %v (%v)", name, dir, rest, err)
			}
		}
		if how, err := guard.Transfer(t.Context(), to+"/vol", from+"/_data"); err != nil || how != "renamed" {
			t.Errorf("%s: back: %s, %v", name, how, err)
		}
		isTree(t, name, from+"/_data")
	}
}

// Where both ends hold data, nobody can say which counts; nothing is touched.
func TestTransferTouchesNothingInDoubt(t *testing.T) {
	for name, more := range map[string]string{"two originals": "from/._data.leaving", "two ends": "to/vol"} {
		dir := t.TempDir()
		if err := errors.Join(os.MkdirAll(dir+"/from", 0o700), os.MkdirAll(dir+"/to", 0o700)); err != nil {
			t.Fatal(err)
		}
		tree(t, dir+"/from/_data")
		tree(t, filepath.Join(dir, more))
		if _, err := guard.Transfer(t.Context(), dir+"/from/_data", dir+"/to/vol"); problem.KindOf(err) != problem.Conflict {
			t.Errorf("%s: %v", name, err)
		}
		isTree(t, name, dir+"/from/_data")
		isTree(t, name, filepath.Join(dir, more))
	}
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(dir+"/from", 0o700), os.MkdirAll(dir+"/to", 0o700)); err != nil {
		t.Fatal(err)
	}
	tree(t, dir+"/from/._data.leaving")
	tree(t, dir+"/to/vol")
	if err := os.WriteFile(dir+"/to/vol/sub/note", []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Transfer(t.Context(), dir+"/from/_data", dir+"/to/vol"); problem.KindOf(err) != problem.Conflict {
		t.Errorf("a copy that differs: %v", err)
	}
	isTree(t, "a copy that differs", dir+"/from/._data.leaving")
	if _, err := guard.Transfer(t.Context(), dir+"/no", dir+"/none"); problem.KindOf(err) != problem.NotFound {
		t.Errorf("nothing at all: %v", err)
	}
	if err := os.Symlink("/etc", dir+"/linked"); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Transfer(t.Context(), dir+"/linked", dir+"/none"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link: %v", err)
	}
}
