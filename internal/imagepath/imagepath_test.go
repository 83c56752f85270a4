package imagepath_test

import (
	"errors"
	"strings"
	"testing"

	"havre/internal/imagepath"
)

// image is a file system: a directory is "/", a file is "", a link is where it
// leads.
type image map[string]string

func (i image) stat(p string) (imagepath.Entry, error) {
	says, there := i[p]
	switch {
	case !there:
		return imagepath.Entry{}, nil
	case says == "/":
		return imagepath.Entry{There: true, Dir: true}, nil
	}
	return imagepath.Entry{There: true, Link: says}, nil
}

func TestPathsAreFollowedAsARuntimeDoes(t *testing.T) {
	debian := image{
		"/var": "/", "/var/run": "/run", "/run": "/", "/dev": "/", "/x": "/dev", "/a": "/./", "/b": "../../dev",
		"/deep": "/", "/deep/er": "../x", "/file": "", "/round": "/circle", "/circle": "round", "/self": "self/", "/up": "/deep/..", "/var/up": "../b",
	}
	for path, want := range map[string]string{
		"/vol/rw":        "/vol/rw",
		"/var/lib/data":  "/var/lib/data",
		"/var/run/sock":  "/run/sock",
		"/x":             "/dev",
		"/x/null":        "/dev/null",
		"/a/dev":         "/dev",
		"/a/a/a/x":       "/dev",
		"/b/pts":         "/dev/pts",
		"/deep/er/shm":   "/dev/shm",
		"/up/dev":        "/dev",
		"/var/up/null":   "/dev/null",
		"/none/such/dir": "/none/such/dir",
		"/file":          "/file",
		"/":              "/",
	} {
		if got, err := imagepath.Follow(path, debian.stat); got != want || err != nil {
			t.Errorf("%s leads to %q, %v; want %s", path, got, err, want)
		}
	}
	for path, says := range map[string]string{"/file/below": "is a file", "/round": "links", "/self/x": "links"} {
		if got, err := imagepath.Follow(path, debian.stat); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s leads to %q, %v; want an error with %q", path, got, err, says)
		}
	}
}

func TestWhatCannotBeLookedUpIsNotTakenForMissing(t *testing.T) {
	broken := errors.New("no answer")
	_, err := imagepath.Follow("/a/b", func(string) (imagepath.Entry, error) { return imagepath.Entry{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
