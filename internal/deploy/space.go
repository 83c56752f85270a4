package deploy

import "havre/internal/problem"

// Space is what is left of a file system.
type Space struct {
	Of   string  // what lies on it, in words
	Path string  // a directory on it
	Used float64 // share of what others than root may have, 0 to 1
	Free uint64  // bytes of it that are left
}

// Disks tells how much space is left where deploys write.
type Disks interface {
	Spaces() []Space
}

// A disk is too full to begin anything new when both are so: on a large disk
// the last twentieth is much.
const (
	full  = 0.95
	spare = 2 << 30
)

// TooFull tells why nothing new may begin, nil when there is room. Whoever
// writes on until a disk is full ends with half a file here and a database that
// stands still there.
// Errors: Unavailable.
func TooFull(spaces []Space) error {
	for _, s := range spaces {
		if s.Used >= full && s.Free < spare {
			return problem.New(problem.Unavailable, "the disk with %s (%s) is %.0f %% full, with %d MiB left, so nothing new is begun; what runs goes on", s.Of, s.Path, 100*s.Used, s.Free>>20).
				With("make room and do it again; what takes most: sudo du -xh --max-depth=3 %s | sort -h | tail -n 20", s.Path)
		}
	}
	return nil
}

// room tells why nothing can be begun.
func (d *Deployer) room() error {
	if d.Disks == nil {
		return nil
	}
	return TooFull(d.Disks.Spaces())
}
