package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endAll kills every process of a world: those in its network namespace (the
// engine, its shims, what a test started there) and its containers.
func endAll(ctx context.Context, id string) error {
	return until(ctx, 20*time.Millisecond, func(context.Context) error {
		pids, err := processes(id)
		for _, pid := range pids {
			if kerr := syscall.Kill(pid, syscall.SIGKILL); kerr != nil && !errors.Is(kerr, syscall.ESRCH) {
				err = errors.Join(err, fmt.Errorf("end process %d: %w", pid, kerr))
			}
		}
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("processes %v do not end", pids)
		}
		return err
	})
}

// processes lists what runs in a world. The test itself is never among them,
// although one of its threads may be there for a moment.
func processes(id string) ([]int, error) {
	space, _ := os.Stat("/run/netns/" + name(id))
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !alive(pid) {
			continue
		}
		if inside(pid, space) || inCgroup(pid, id) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func inside(pid int, space os.FileInfo) bool {
	its, err := os.Stat(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && space != nil && os.SameFile(its, space)
}

func inCgroup(pid int, id string) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && bytes.Contains(text, []byte("/"+name(id)+"/"))
}

// alive is false of a zombie: it has ended, whoever should have asked for it.
func alive(pid int) bool {
	f := stat(pid)
	return len(f) > 0 && f[0] != "Z" && f[0] != "X"
}

// stat is /proc/PID/stat from the third field on; the second may hold spaces.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// removeCgroups removes the world's control groups. One stays busy for a moment
// after its last process has ended.
func removeCgroups(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return until(ctx, 20*time.Millisecond, func(context.Context) error { return tryRemoveCgroups(id) })
}

// tryRemoveCgroups goes deepest first. An engine would leave the upper one.
func tryRemoveCgroups(id string) error {
	tops, _ := filepath.Glob("/sys/fs/cgroup/*/" + name(id))
	tops = append(tops, "/sys/fs/cgroup/"+name(id))
	var dirs []string
	for _, top := range tops {
		// What vanishes while we look need not be removed.
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	var errs []error
	for _, dir := range slices.Backward(dirs) {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove control group %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}

// unmountBelow unmounts what is mounted below dir, and dir itself if asked to.
func unmountBelow(dir string, itself bool) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); strings.HasPrefix(f[4], dir+"/") || itself && f[4] == dir {
			points = append(points, strings.ReplaceAll(f[4], `\040`, " "))
		}
	}
	var errs []error
	for _, point := range slices.Backward(points) {
		if err := syscall.Unmount(point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}
