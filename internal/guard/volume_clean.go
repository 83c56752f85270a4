package guard

import (
	"errors"
	"net/http"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// volumeClean empties a volume, or a directory of it. What a service makes
// meanwhile may stay. A guard that is killed leaves it half empty, which a
// cache or a log may be.
func (g *Guard) volumeClean(r *http.Request, c *dockercall.VolumeClean) (dockercall.VolumeCleaned, error) {
	g.volumes.Lock() // it must not be removed and made again meanwhile
	defer g.volumes.Unlock()
	var freed dockercall.VolumeCleaned
	fd, err := g.openVolume(dockercall.Volume{Environment: c.Environment, Project: c.Project, Name: c.Name})
	if err != nil {
		return freed, err
	}
	defer unix.Close(fd)
	if c.Part != "" {
		below, err := openBelow(fd, string(c.Part))
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return freed, nil
		}
		if err != nil {
			return freed, err
		}
		defer unix.Close(below)
		fd = below
	}
	w := &walk{ctx: r.Context(), left: mostWalked, met: func(e walked) error {
		n, err := cleared(e, c.Keep)
		if freed.Bytes += n; n > 0 || !c.Keep {
			freed.Files++
		}
		return err
	}}
	err = w.directory(fd, 0)
	if errors.Is(err, errEnough) {
		err = problem.New(problem.Busy, "the volume %s holds too much to be emptied in one go", c.Name).With("do it again")
	}
	return freed, err
}

// cleared takes one entry away, or only what it holds, and tells how many
// bytes that freed.
func cleared(e walked, keep bool) (int64, error) {
	bytes := e.stat.Blocks * sector
	if e.stat.Nlink > 1 && !e.is(unix.S_IFDIR) {
		bytes = 0
	}
	switch {
	case e.is(unix.S_IFDIR) && keep:
		return 0, nil
	case e.is(unix.S_IFDIR):
		return bytes, unix.Unlinkat(e.dir, e.name, unix.AT_REMOVEDIR)
	case !keep:
		return bytes, unix.Unlinkat(e.dir, e.name, 0)
	case !e.is(unix.S_IFREG) || e.stat.Nlink > 1: // another name of it may be data
		return 0, nil
	}
	return bytes, truncate(e)
}

// truncate makes the very file empty that was looked at.
func truncate(e walked) error {
	fd, err := unix.Openat(e.dir, e.name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Ino != e.stat.Ino || now.Nlink != 1 {
		return err
	}
	return unix.Ftruncate(fd, 0)
}
