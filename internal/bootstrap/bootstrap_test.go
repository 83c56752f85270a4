package bootstrap_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"havre/internal/bootstrap"
	"havre/internal/lab"
	"havre/internal/problem"
)

func TestWhatCannotBeAnImageIsRefused(t *testing.T) {
	for name, r := range map[string]bootstrap.Request{
		"no suite":         {},
		"an unknown suite": {Suite: "potato-salad"},
		"an option":        {Suite: "--help"},
		"a path":           {Suite: "../bookworm"},
		"a package":        {Suite: "bookworm", Packages: []string{"a b"}},
		"a second option":  {Suite: "bookworm", Packages: []string{"-x"}},
		"a mirror":         {Suite: "bookworm", Mirror: "deb http://x y"},
		"a third option":   {Suite: "bookworm", Mirror: "--help"},
	} {
		if _, err := bootstrap.Debian(t.Context(), r); problem.KindOf(err) != problem.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMissingToolIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := bootstrap.Debian(t.Context(), bootstrap.Request{Suite: "bookworm", Dir: t.TempDir()})
	if p := problem.Of(err); p.Kind != problem.Unavailable || !strings.Contains(p.Remedy, "apt-get install mmdebstrap") {
		t.Errorf("problem is %+v", p)
	}
}

// empty tells whether nothing was left in dir.
func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestMirrorThatCannotBeReachedIsTold(t *testing.T) {
	lab.Need(t, "docker")
	dir := t.TempDir()
	closed := httptest.NewServer(nil)
	closed.Close()
	_, err := bootstrap.Debian(t.Context(), bootstrap.Request{Suite: "bookworm", Dir: dir, Mirror: closed.URL + "/debian"})
	if p := problem.Of(err); p.Kind != problem.Unavailable || !strings.Contains(p.Remedy, "--mirror") {
		t.Errorf("problem is %+v", p)
	}
	empty(t, dir)
}

func TestMirrorWithoutTheSuiteIsTold(t *testing.T) {
	lab.Need(t, "docker")
	dir := t.TempDir()
	bare := httptest.NewServer(http.NotFoundHandler())
	defer bare.Close()
	_, err := bootstrap.Debian(t.Context(), bootstrap.Request{Suite: "bookworm", Dir: dir, Mirror: bare.URL})
	if p := problem.Of(err); p.Kind != problem.NotFound {
		t.Errorf("problem is %+v", p)
	}
	empty(t, dir)
}

func TestEndOfTheContextEndsTheWork(t *testing.T) {
	lab.Need(t, "docker")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-release
	}))
	defer slow.Close()
	defer close(release)
	// The mirror answers only when this is over: who waited for it would for ever.
	_, err := bootstrap.Debian(ctx, bootstrap.Request{Suite: "bookworm", Dir: dir, Mirror: slow.URL})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	empty(t, dir)
}

func TestFullDiskIsTold(t *testing.T) {
	lab.Need(t, "docker")
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=40m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := bootstrap.Debian(t.Context(), bootstrap.Request{Suite: "bookworm", Dir: dir})
	if p := problem.Of(err); p.Kind != problem.Failed || !strings.Contains(p.Says, "the disk is full") {
		t.Errorf("problem is %+v", p)
	}
	empty(t, dir)
}

// TestImageIsTheSameEachTimeAndRuns makes the image twice, from Debian's
// mirror.
func TestImageIsTheSameEachTimeAndRuns(t *testing.T) {
	w := lab.Engine(t)
	dir := t.TempDir()
	var steps []string
	r := bootstrap.Request{Suite: "bookworm", Dir: dir, Packages: []string{"netbase"}, Progress: func(line string) { steps = append(steps, line) }}
	one := debian(t, r)
	for _, want := range []string{"asking the mirror for bookworm", "downloading packages with apt", "installing essential packages", "packing the image"} {
		if !slices.Contains(steps, want) {
			t.Errorf("it told %q, not %q", steps, want)
		}
	}
	for _, line := range steps {
		if strings.Contains(line, "-hook") {
			t.Errorf("it told %q, which is nobody's business", line)
		}
	}
	file := filepath.Join(w.Dir, "debian.tar")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(f, one)
	if err := errors.Join(err, f.Close(), one.Close(), one.Close()); err != nil || n != one.Size {
		t.Fatalf("%d bytes of %d: %v", n, one.Size, err)
	}
	empty(t, dir)
	if n > 100<<20 {
		t.Errorf("the archive has %d MiB", n>>20)
	}

	w.Docker(t, "load", "--input", file)
	if id := w.Docker(t, "image", "inspect", "--format", "{{.Id}}", "debian:bookworm"); id != one.ID {
		t.Errorf("the engine calls it %s, we %s", id, one.ID)
	}
	script := `cat /etc/debian_version; stat -c %a /tmp; ls /usr/share/doc/bash /usr/share/man /usr/share/locale; dpkg -s netbase | grep Status; ls /var/lib/apt/lists; cat /usr/sbin/policy-rc.d /etc/apt/apt.conf.d/*; id -u`
	out := w.Docker(t, "run", "--rm", "--network", "none", "debian:bookworm", "bash", "-c", script)
	for _, want := range []string{"12.", "1777", "copyright", "install ok installed", "exit 101"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	for _, not := range []string{"deb.debian.org", "man1", "de\n", "changelog", "Recommends"} {
		if strings.Contains(out, not) {
			t.Errorf("%q is in:\n%s", not, out)
		}
	}

	two := debian(t, r)
	if two.ID != one.ID {
		t.Errorf("the first was %s, the second is %s; they differ in:\n%s", one.ID, two.ID, differ(t, file, two))
	}
	if err := two.Close(); err != nil {
		t.Error(err)
	}
}

func debian(t *testing.T, r bootstrap.Request) *bootstrap.Archive {
	t.Helper()
	a, err := bootstrap.Debian(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "debian:bookworm" {
		t.Errorf("its name is %s", a.Name)
	}
	return a
}

// differ names the files that are not the same in two archives.
func differ(t *testing.T, file string, other io.Reader) string {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, after := contents(t, f), contents(t, other)
	var names []string
	for name, is := range after {
		if before[name] != is {
			names = append(names, fmt.Sprintf("%s: %.200s, then %.200s", name, before[name], is))
		}
	}
	return strings.Join(names, "\n")
}

// contents describes each file of the layer.
func contents(t *testing.T, archive io.Reader) map[string]string {
	all := map[string]string{}
	outer := tar.NewReader(archive)
	for {
		h, err := outer.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, "/layer.tar") {
			continue
		}
		inner := tar.NewReader(outer)
		for {
			h, err := inner.Next()
			if err != nil {
				break
			}
			var body bytes.Buffer
			_, _ = io.Copy(&body, io.LimitReader(inner, 4<<10))
			all[h.Name] = fmt.Sprintf("%+v %q", *h, body.String())
		}
	}
}
