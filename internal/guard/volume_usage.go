package guard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
)

// A walk through a volume ends after so long, or so many entries.
const (
	usageTime  = 30 * time.Second
	mostWalked = 5_000_000
)

// sector is the unit of a file's blocks, whatever the file system's (stat(2)).
const sector = 512

// volumeUsage counts what a volume takes on the disk.
func (g *Guard) volumeUsage(r *http.Request, c *dockercall.VolumeUsage) (dockercall.VolumeUse, error) {
	v := dockercall.Volume{Environment: c.Environment, Project: c.Project, Name: c.Name}
	use := dockercall.VolumeUse{Path: g.bounds.source(v)}
	fd, err := g.openVolume(v)
	if err != nil {
		return use, err
	}
	defer unix.Close(fd)
	ctx, stop := context.WithTimeout(r.Context(), usageTime)
	defer stop()
	linked := map[uint64]bool{} // files that were counted and have more names
	w := &walk{ctx: ctx, left: most(c.Most), met: func(e walked) error {
		use.Files++
		use.Modified = max(use.Modified, e.stat.Mtim.Sec)
		if e.stat.Nlink > 1 && e.is(unix.S_IFREG) {
			if linked[e.stat.Ino] {
				return nil
			}
			linked[e.stat.Ino] = true
		}
		use.Bytes += e.stat.Blocks * sector
		return nil
	}}
	err = w.directory(fd, 0)
	if errors.Is(err, errEnough) {
		use.Partial, err = true, nil
	}
	return use, err
}

func most(asked int64) int64 {
	if asked == 0 {
		return mostWalked
	}
	return min(asked, mostWalked)
}
