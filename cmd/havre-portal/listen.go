package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// stand is a portal's place at the socket's name. The name leads to one portal
// at a time; beside it each portal has a name of its own for its socket, its
// mark, by which it knows itself again when the engine starts it once more.
type stand struct {
	*net.UnixListener
	path string
	mark string
	end  fs.FileInfo // of the socket
}

// errReplaced means that another portal has the name.
var errReplaced = errors.New("another portal has taken over")

// takeOver listens on the unix socket at path, in place of whatever portal
// listened there before. The name changes hands in one step, so that callers
// always find somebody. Self tells this portal from others, and is the same
// when it is started again: one that was replaced must not take the name back.
func takeOver(path, self string) (*stand, error) {
	s := &stand{path: path, mark: path + "." + self}
	switch replaced, err := s.replaced(); {
	case err != nil:
		return nil, err
	case replaced:
		return nil, errReplaced
	}
	sweep(path)
	if err := unlink(s.mark); err != nil {
		return nil, err
	}
	err := s.listen()
	if err == nil {
		err = s.rename()
	}
	if err != nil {
		os.Remove(s.mark) // or it would believe itself replaced the next time
		return nil, err
	}
	return s, nil
}

// rename leads the name to this portal's socket. A rename onto another name of
// the same file does nothing, so the link goes by a third name. Killed before
// it is done, this portal believes itself replaced, ends well, and another one
// is made.
func (s *stand) rename() error {
	next := s.mark + ".next"
	err := unlink(next)
	if err == nil {
		err = os.Link(s.mark, next)
	}
	if err == nil {
		err = os.Rename(next, s.path)
	}
	if err != nil {
		os.Remove(next)
		s.Close()
	}
	return err
}

// listen binds the socket to the mark. Closing it takes no name away: by then
// the name may be a newer portal's, and the mark is wanted after a crash.
func (s *stand) listen() (err error) {
	old := syscall.Umask(0o117)
	s.UnixListener, err = net.ListenUnix("unix", &net.UnixAddr{Name: s.mark, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return err
	}
	s.SetUnlinkOnClose(false)
	s.end, err = os.Stat(s.mark)
	return err
}

// replaced tells whether this portal was here before and has lost the name.
func (s *stand) replaced() (bool, error) {
	mine, err := os.Stat(s.mark)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // nobody has it
	}
	return err == nil && !os.SameFile(mine, now), err
}

// lost tells whether the name leads elsewhere by now. While that cannot be
// seen it is not lost.
func (s *stand) lost() bool {
	now, err := os.Stat(s.path)
	return err == nil && !os.SameFile(now, s.end)
}

// untilLost gives a context that also ends when the name is lost.
func (s *stand) untilLost(ctx context.Context) (context.Context, context.CancelFunc) {
	held, end := context.WithCancel(ctx)
	go func() {
		tick := time.NewTicker(look)
		defer tick.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
				if s.lost() {
					end()
					return
				}
			}
		}
	}()
	return held, end
}

// leave takes the mark away: this portal ends for good.
func (s *stand) leave() {
	if now, err := os.Stat(s.mark); err == nil && os.SameFile(now, s.end) {
		os.Remove(s.mark)
	}
}

// sweep takes away the marks of portals that were ended by others.
func sweep(path string) {
	marks, _ := filepath.Glob(path + ".*")
	now, _ := os.Stat(path)
	for _, m := range marks {
		info, err := os.Lstat(m)
		if err != nil || now != nil && os.SameFile(info, now) {
			continue
		}
		c, err := net.Dial("unix", m)
		if err == nil {
			c.Close()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(m)
		}
	}
}

func unlink(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
