package guard

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
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

// mountVolumes mounts the volumes' directory on itself with nosuid and nodev,
// and a second time read-only, once. The mounts stay when the guard ends:
// containers go on.
func (g *Guard) mountVolumes() error {
	volumes, readOnly := g.bounds.volumes(), g.bounds.readOnly()
	if err := os.MkdirAll(readOnly, 0o700); err != nil {
		return err
	}
	if err := mountWith(volumes, volumes, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
		return fmt.Errorf("mount %s nosuid,nodev: %w", volumes, err)
	}
	if err := mountWith(volumes, readOnly, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_RDONLY); err != nil {
		return fmt.Errorf("mount %s read-only: %w", readOnly, err)
	}
	return nil
}

// mountWith mounts dir at a place with flags, or gives them to what is mounted
// there already.
func mountWith(dir, at string, flags uint64) error {
	done, err := mountpoint(at)
	if err != nil {
		return err
	}
	strict := unix.MountAttr{Attr_set: flags}
	if done {
		return unix.MountSetattr(unix.AT_FDCWD, at, 0, &strict)
	}
	// The flags must be there before the mount is: an engine with a mount
	// namespace of its own receives the mount, but no later change of its flags.
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &strict); err != nil {
		return err
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH)
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

// renew stops containers that have a volume mounted without nosuid and nodev,
// so that the swarm makes them anew with both. After a boot the engine starts
// containers before the guard has made the strict mount that they should have
// come by (mount.go). It tries until the engine answers.
func (g *Guard) renew(ctx context.Context) {
	if g.set.NoRemount {
		return
	}
	running := noun{list: "/containers/json", labels: labelsAt("Labels"), id: "Id"}
	ids, err := g.owned(ctx, running)
	for err != nil {
		if !wait(ctx, 2*time.Second) {
			return
		}
		ids, err = g.owned(ctx, running)
	}
	for _, id := range ids {
		if err := g.renewOne(ctx, id); err != nil && ctx.Err() == nil {
			g.log.Warn("a container may have a volume that is not nosuid,nodev", "container", id, "err", err)
		}
	}
}

func (g *Guard) renewOne(ctx context.Context, id string) error {
	var c struct {
		State  struct{ Pid int }
		Mounts []struct{ Source, Destination string }
	}
	if err := g.engine.get(ctx, "/containers/"+id+"/json", "", &c); err != nil || c.State.Pid == 0 {
		return err
	}
	var volumes []string
	for _, m := range c.Mounts {
		if strings.HasPrefix(g.bounds.volumeOf(m.Source), g.bounds.volumes()+"/") {
			volumes = append(volumes, m.Destination)
		}
	}
	lax, err := laxly(c.State.Pid, volumes)
	if err != nil || lax == "" {
		return err
	}
	g.log.Warn("made anew, because its volume was mounted before the guard was there", "container", id, "mount", lax)
	return g.engine.call(ctx, dockercall.Wire{Method: http.MethodPost, Path: "/containers/" + id + "/stop", Query: "t=10"}, nil)
}

// laxly gives the first of a process's mount points that is not both nosuid
// and nodev (proc(5), mountinfo: field 5 is the mount point, 6 its options).
func laxly(pid int, points []string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 6 || !slices.Contains(points, f[4]) {
			continue
		}
		options := strings.Split(f[5], ",")
		if !slices.Contains(options, "nosuid") || !slices.Contains(options, "nodev") {
			return f[4], nil
		}
	}
	return "", nil
}

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
