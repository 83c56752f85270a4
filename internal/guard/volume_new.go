package guard

import (
	"errors"
	"io/fs"
	"net/http"
	"os"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// A volume is new as long as a mark stands beside it. The mark, not its
// absence, says that something is still to be done: a volume from a backup, or
// from before there were marks, is never initialised over its data.

// beside is the directory of a volume's project, where its mark is.
func beside(v dockercall.Volume) string { return string(v.Environment) + "/" + string(v.Project) }

// mark is the name of a volume's mark. No volume's name begins with a dot.
func mark(v dockercall.Volume) string { return beside(v) + "/.new-" + string(v.Name) }

func isNew(root *os.Root, v dockercall.Volume) (bool, error) {
	_, err := root.Lstat(mark(v))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func markNew(root *os.Root, v dockercall.Volume) error {
	f, err := root.OpenFile(mark(v), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), settle(root, beside(v)))
}

func unmark(root *os.Root, v dockercall.Volume) error {
	if err := root.Remove(mark(v)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// volumeSettle makes a volume one that is new no more.
func (g *Guard) volumeSettle(_ *http.Request, c *dockercall.VolumeSettle) (struct{}, error) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return struct{}{}, err
	}
	defer root.Close()
	v := dockercall.Volume(*c)
	there, err := isDirectory(root, within(v))
	if err == nil && !there {
		err = problem.New(problem.NotFound, "no volume %s", c.Name)
	}
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, errors.Join(unmark(root, v), settle(root, beside(v)))
}
