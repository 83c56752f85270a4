package ingress

import (
	"errors"
	"os"
	"path/filepath"
)

// save replaces file by b so that after a crash at any point, of the machine
// too, there is the old table or the new one. When save returns nil it is the
// new one. Only one save may run at a time.
func save(file string, b []byte) error {
	next := file + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // it holds the certificates' keys
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
