package guard

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mountLine is one line of mountinfo.
type mountLine struct{ device, root, point string }

// renameAcross renames a directory also between two mounts of one file system,
// as the volumes' directory is a mount on itself: rename(2) wants both names
// under one mount. A private clone of the outer mount has both.
func renameAcross(from, to string) error {
	if err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE); err != unix.EXDEV {
		return err
	}
	mounts, err := mountLines()
	if err != nil {
		return err
	}
	a, x := under(mounts, from)
	b, y := under(mounts, to)
	if a.device == "" || a.device != b.device {
		return unix.EXDEV
	}
	for _, m := range []mountLine{a, b} {
		relA, okA := below(m.root, x)
		relB, okB := below(m.root, y)
		if !okA || !okB {
			continue
		}
		fd, err := unix.OpenTree(unix.AT_FDCWD, m.point, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			return err
		}
		err = unix.Renameat2(fd, relA, fd, relB, unix.RENAME_NOREPLACE)
		unix.Close(fd)
		return err
	}
	return unix.EXDEV
}

// under finds the mount that a path is on, and its path in the file system.
func under(mounts []mountLine, path string) (mountLine, string) {
	for _, m := range slices.Backward(mounts) { // a later mount covers an earlier one
		if rel, ok := below(m.point, path); ok && !slices.ContainsFunc(mounts, func(n mountLine) bool {
			_, deeper := below(n.point, path)
			return deeper && len(n.point) > len(m.point)
		}) {
			return m, filepath.Join(m.root, rel)
		}
	}
	return mountLine{}, ""
}

func below(dir, path string) (string, bool) {
	rel, err := filepath.Rel(dir, path)
	return rel, err == nil && rel != "." && rel != ".." && !strings.HasPrefix(rel, "../")
}

// mountLines reads proc(5), mountinfo: fields 3 to 5 are the device, the root
// of the mount in its file system, and where it is.
func mountLines() ([]mountLine, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var all []mountLine
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && !strings.Contains(f[3]+f[4], `\`) {
			all = append(all, mountLine{f[2], f[3], f[4]})
		}
	}
	return all, nil
}
