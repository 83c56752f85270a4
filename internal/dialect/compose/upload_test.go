package compose_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
)

// mounted reads a service with one mount, in a directory that prepare fills.
func mounted(t *testing.T, mount string, prepare func(dir string)) *source.Reading {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.MkdirAll(filepath.Join(dir, "conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	prepare(dir)
	text := fmt.Sprintf("services:\n  web:\n    image: web\n    volumes: [%q]\n", mount)
	return compose.Read(t.Context(), compose.Request{Texts: []source.Text{{Name: "c.yml", Content: []byte(text)}}, Dir: dir})
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func TestUploadsStayInTheirBounds(t *testing.T) {
	cases := map[string]struct {
		mount   string
		prepare func(dir string)
		says    string // of the mistake; "" when it is taken
	}{
		"a file as large as allowed": {"./conf:/c:ro", func(d string) { write(t, d+"/conf/a", 1000*1024) }, ""},
		"a file too large":           {"./conf:/c:ro", func(d string) { write(t, d+"/conf/a", 1000*1024+1) }, "larger than 1000 KiB"},
		"as many files as allowed": {"./conf:/c:ro", func(d string) {
			for i := range 500 {
				write(t, fmt.Sprintf("%s/conf/%d", d, i), 1)
			}
		}, ""},
		"too many files": {"./conf:/c:ro", func(d string) {
			for i := range 501 {
				write(t, fmt.Sprintf("%s/conf/%d", d, i), 1)
			}
		}, "more than 500 files"},
		"too much in all": {"./conf:/c:ro", func(d string) {
			for i := range 17 {
				write(t, fmt.Sprintf("%s/conf/%d", d, i), 1000*1024)
			}
		}, "16 MiB"},
		"an empty directory": {"./conf:/c", func(string) {}, "is empty"},
		"a link inside":      {"./conf:/c:ro", func(d string) { write(t, d+"/conf/a", 1); link(t, "a", d+"/conf/b") }, ""},
		"a link out":         {"./conf:/c:ro", func(d string) { link(t, "/etc/hostname", d+"/conf/b") }, "leads out of"},
		"a link up":          {"./conf:/c:ro", func(d string) { write(t, d+"/a", 1); link(t, "../a", d+"/conf/b") }, "leads out of"},
		"a link to nothing":  {"./conf:/c:ro", func(d string) { link(t, "nothing", d+"/conf/b") }, "or nowhere"},
		"a linked directory": {"./conf:/c:ro", func(d string) { link(t, ".", d+"/conf/b") }, "is not a file"},
		"the mount is a link out": {"./b:/c:ro", func(d string) { link(t, "/etc/hostname", d+"/b") },
			"leads out of the project's directory"},
		"the mount's parent is a link out": {"./b/hostname:/c:ro", func(d string) { link(t, "/etc", d+"/b") }, "leads out of the project's directory"},
		"beside the project":               {"../beside:/c:ro", func(d string) { write(t, filepath.Join(d, "../beside"), 3) }, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := mounted(t, c.mount, c.prepare)
			switch said := r.Mistakes.Error(); {
			case c.says == "" && said != "":
				t.Errorf("refused: %s", said)
			case c.says != "" && !strings.Contains(said, c.says):
				t.Errorf("says %q, want %q", said, c.says)
			}
		})
	}
}

func TestSocketsAreNotUploaded(t *testing.T) {
	r := mounted(t, "./conf:/c:ro", func(d string) {
		fd := filepath.Join(d, "conf", "pipe")
		if err := mkfifo(fd); err != nil {
			t.Skip(err)
		}
	})
	if !strings.Contains(r.Mistakes.Error(), "is not a file") {
		t.Errorf("says %q", r.Mistakes.Error())
	}
}

func TestWhatOnlyRootCanReadIsSaid(t *testing.T) {
	r := mounted(t, "./conf/a:/c:ro", func(d string) {
		write(t, d+"/conf/a", 1)
		if err := os.Chmod(d+"/conf/a", 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if !strings.Contains(r.Notes.Error(), "only root can read it") || r.Project.Files[0].Mode != 0o600 {
		t.Errorf("notes %v, files %v", r.Notes, r.Project.Files)
	}
}
