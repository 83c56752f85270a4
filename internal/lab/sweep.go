package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Sweep removes the worlds whose owner has ended without removing them, as a
// killed test run does. Every new world begins with it.
func Sweep() error {
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	return sweep()
}

// sweep needs the lock: a world that is just being made has no owner yet.
func sweep() error {
	worlds, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range worlds {
		if w.IsDir() && !owned(filepath.Join(root, w.Name())) {
			errs = append(errs, remove(w.Name()))
		}
	}
	return errors.Join(errs...)
}

func lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(root, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { f.Close() }, nil
}

// owner names a process so that no later one of the same number is taken for
// it: by when it started.
func owner(pid int) string {
	f := stat(pid)
	if len(f) < 20 || !alive(pid) {
		return ""
	}
	return fmt.Sprintf("%d %s", pid, f[19])
}

func writeOwner(dir string) error {
	return os.WriteFile(filepath.Join(dir, "owner"), []byte(owner(os.Getpid())), 0o600)
}

func owned(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "owner"))
	if err != nil {
		return false
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		return false
	}
	return string(text) == owner(pid)
}
