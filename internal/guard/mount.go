package guard

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
)

// guarded refuses a directory that somebody besides owner could swap: each
// directory above it must be owner's (or root's), no link, and writable by
// nobody else, unless it is sticky.
func guarded(dir string, owner uint32) error {
	for d := dir; ; d = filepath.Dir(d) {
		var st unix.Stat_t
		if err := unix.Lstat(d, &st); err != nil {
			return &os.PathError{Op: "stat", Path: d, Err: err}
		}
		open := st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0
		if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Uid != owner && st.Uid != 0 || open {
			return problem.New(problem.Denied, "%s is a link, or others than user %d can change what is in it", d, owner).
				With("put Havre's data below directories that only root writes")
		}
		if d == "/" {
			return nil
		}
	}
}

// restrict mounts dir on itself with nosuid and nodev, once. The mount stays
// when the guard ends: containers go on.
func restrict(dir string) error {
	done, err := mountpoint(dir)
	if err != nil {
		return err
	}
	if done {
		return unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, "")
	}
	// The flags must be there before the mount is: an engine with a mount
	// namespace of its own receives the mount, but no later change of its flags.
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	strict := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &strict); err != nil {
		return err
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// release takes the mount away again.
func release(dir string) error {
	done, err := mountpoint(dir)
	if err != nil || !done {
		return err
	}
	return unix.Unmount(dir, unix.MNT_DETACH)
}

// mountpoint tells whether something is mounted exactly at dir.
func mountpoint(dir string) (bool, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if fields := strings.Fields(s.Text()); len(fields) > 4 && fields[4] == dir {
			return true, nil
		}
	}
	return false, s.Err()
}
