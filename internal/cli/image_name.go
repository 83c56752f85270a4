package cli

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"

	"havre/internal/problem"
)

// spool keeps an archive in a file that nobody else sees, to be read twice: its
// name stands at its end.
func spool(from io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "havre-load-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := io.Copy(f, from); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, rewind(f)
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// mostManifest bounds what is read of an archive's manifest, in bytes.
const mostManifest = 1 << 20

// ownName is the name that an archive gives its image. The file is left at its
// beginning.
// Errors: Invalid when it names none.
func ownName(f *os.File) (string, error) {
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		if err != nil {
			return "", nameless(err)
		}
		if h.Name != "manifest.json" {
			continue
		}
		var images []struct{ RepoTags []string }
		if err := json.NewDecoder(io.LimitReader(t, mostManifest)).Decode(&images); err != nil {
			return "", nameless(err)
		}
		if len(images) != 1 || len(images[0].RepoTags) == 0 {
			return "", nameless(nil)
		}
		return images[0].RepoTags[0], rewind(f)
	}
}

func nameless(why error) error {
	if why != nil && !errors.Is(why, io.EOF) {
		return problem.New(problem.Invalid, "this is not an image archive").Because(why).With("make one with docker save, or havre image bootstrap")
	}
	return problem.New(problem.Invalid, "the archive does not name its image").With("give it a name with: havre image load --name NAME")
}
