package guard

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
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

// source is the directory of a volume: what containers mount.
func (b Bounds) source(v dockercall.Volume) string {
	return b.volumes() + "/" + within(v)
}

func within(v dockercall.Volume) string {
	return string(v.Environment) + "/" + string(v.Project) + "/" + string(v.Name)
}

// volumeEnsure makes a volume that does not exist: filled in a staging
// directory, then renamed, so that a volume is there whole or not at all. One
// that held data and is gone, perhaps with a disk that was not mounted, is
// for a person to bring back.
func (g *Guard) volumeEnsure(r *http.Request, c *dockercall.VolumeEnsure) (dockercall.VolumeSource, error) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	v := dockercall.Volume{Environment: c.Environment, Project: c.Project, Name: c.Name}
	answer := dockercall.VolumeSource{Source: g.bounds.source(v)}
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return answer, err
	}
	defer root.Close()
	for _, dir := range []string{string(c.Environment), string(c.Environment) + "/" + string(c.Project)} {
		if err := mkdir(root, dir, 0o700); err != nil {
			return answer, err
		}
	}
	there, err := isDirectory(root, within(v))
	if err != nil {
		return answer, err
	}
	if there {
		answer.New, err = isNew(root, v)
		return answer, err
	}
	if c.Kept {
		return answer, problem.New(problem.NotFound, "the volume %s is gone: there is no %s; an empty one is not made in its place", c.Name, answer.Source).
			With("put it back: mount its disk, or restore it from a backup")
	}
	answer.Created, answer.New = true, true
	draft := ".staging/" + strings.ToLower(rand.Text())
	if err := g.fill(r.Context(), root, draft, c); err != nil {
		return answer, errors.Join(fmt.Errorf("make volume %s: %w", c.Name, err), root.RemoveAll(draft))
	}
	// Before the volume is there: whoever dies in between leaves a mark of
	// nothing, and never a volume that passes for an old one.
	if err := markNew(root, v); err != nil {
		return answer, err
	}
	if err := root.Rename(draft, within(v)); err != nil {
		return answer, err
	}
	return answer, settle(root, beside(v))
}

// fill makes the draft of a volume.
func (g *Guard) fill(ctx context.Context, root *os.Root, draft string, c *dockercall.VolumeEnsure) error {
	if err := root.Mkdir(draft, 0o700); err != nil {
		return err
	}
	top, err := g.seed(ctx, filepath.Join(g.bounds.volumes(), draft), c)
	if err != nil {
		return err
	}
	dir, err := root.OpenFile(draft, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := g.own(dir, top.owner); err != nil {
		return err
	}
	return errors.Join(dir.Chmod(top.mode), dir.Sync())
}

// owner is a user and a group by number.
type owner struct{ uid, gid int }

// own gives a directory to o. Tests that are not root have nothing to give.
func (g *Guard) own(dir *os.File, o owner) error {
	if g.set.Owner != 0 {
		return nil
	}
	return dir.Chown(o.uid, o.gid)
}

// mkdir makes a directory unless there is one; a link is none.
func mkdir(root *os.Root, name string, mode fs.FileMode) error {
	if err := root.Mkdir(name, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	there, err := isDirectory(root, name)
	if err == nil && !there {
		err = fs.ErrNotExist
	}
	return err
}

func isDirectory(root *os.Root, name string) (bool, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !info.IsDir() {
		err = problem.New(problem.Denied, "%s is not a directory", name)
	}
	return err == nil, err
}

// settle makes a rename last.
func settle(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (g *Guard) volumeList(_ *http.Request, c *dockercall.VolumeList) ([]dockercall.Volume, error) {
	all, err := g.allVolumes()
	kept := slices.DeleteFunc(all, func(v dockercall.Volume) bool {
		return c.Environment != "" && v.Environment != c.Environment || c.Project != "" && v.Project != c.Project
	})
	return kept, err
}

// allVolumes reads the three levels of the volumes' directory.
func (g *Guard) allVolumes() ([]dockercall.Volume, error) {
	found, err := filepath.Glob(g.bounds.volumes() + "/*/*/*")
	all := []dockercall.Volume{}
	for _, path := range found {
		part := strings.Split(strings.TrimPrefix(path, g.bounds.volumes()+"/"), "/")
		if dockercall.IsEnvironment(part[0]) && dockercall.IsProject(part[1]) && dockercall.IsVolumeName(part[2]) {
			all = append(all, dockercall.Volume{
				Environment: dockercall.Environment(part[0]), Project: dockercall.ProjectID(part[1]), Name: dockercall.VolumeName(part[2]),
			})
		}
	}
	slices.SortFunc(all, func(a, b dockercall.Volume) int { return cmp.Compare(within(a), within(b)) })
	return all, err
}

// volumeRemove removes a volume. It is taken out of its place first, so that
// nobody meets half of one.
func (g *Guard) volumeRemove(_ *http.Request, c *dockercall.VolumeRemove) (struct{}, error) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return struct{}{}, err
	}
	defer root.Close()
	v := dockercall.Volume(*c)
	there, err := isDirectory(root, within(v))
	if err != nil {
		return struct{}{}, err
	}
	if !there {
		return struct{}{}, problem.New(problem.NotFound, "no volume %s", c.Name)
	}
	draft := ".staging/" + strings.ToLower(rand.Text())
	if err := root.Rename(within(v), draft); err != nil {
		return struct{}{}, err
	}
	return struct{}{}, errors.Join(unmark(root, v), settle(root, beside(v)), root.RemoveAll(draft))
}

// mountedAt gives the places where containers that run, or are about to, have
// source or a part of it.
func (g *Guard) mountedAt(ctx context.Context, source string) ([]string, error) {
	m, err := g.mountsOf(ctx, source)
	return m.at, err
}

// unmountedWithin is how long is waited for containers that are on their way out.
const unmountedWithin = 20 * time.Second

// awaitUnmounted is mountedAt, but waits for containers that do not run and
// that no service wants: an engine needs a moment to take away what was ended,
// and the loop one for what was made and will never be started.
func (g *Guard) awaitUnmounted(ctx context.Context, source string) ([]string, error) {
	waiting, stop := context.WithTimeout(ctx, unmountedWithin)
	defer stop()
	for {
		m, err := g.mountsOf(ctx, source)
		if err != nil || len(m.at) == 0 || m.lasting || !wait(waiting, 200*time.Millisecond) {
			return m.at, err
		}
	}
}

// mounted tells where a directory is mounted, and whether that lasts: one of
// those who have it runs, or is to run.
type mounted struct {
	at      []string
	lasting bool
}

func (g *Guard) mountsOf(ctx context.Context, source string) (mounted, error) {
	type mounts []struct{ Source, Destination, Target string }
	m := mounted{at: []string{}}
	look := func(all mounts, lasting bool) {
		for _, one := range all {
			if from := g.bounds.volumeOf(one.Source); from == source || strings.HasPrefix(from, source+"/") {
				m.at, m.lasting = append(m.at, cmp.Or(one.Destination, one.Target)), m.lasting || lasting
			}
		}
	}
	var containers []struct {
		State  string
		Mounts mounts
	}
	if err := g.engine.get(ctx, "/containers/json", "all=1", &containers); err != nil {
		return m, err
	}
	for _, c := range containers {
		if c.State != "exited" && c.State != "dead" {
			look(c.Mounts, c.State != "created" && c.State != "removing")
		}
	}
	// Between two containers of a service there is none for a moment.
	var services []struct {
		Spec struct {
			TaskTemplate struct{ ContainerSpec struct{ Mounts mounts } }
			Mode         struct{ Replicated struct{ Replicas uint64 } }
		}
	}
	if err := g.engine.get(ctx, "/services", "", &services); err != nil && problem.KindOf(err) != problem.Unavailable {
		return m, err
	}
	for _, s := range services {
		if s.Spec.Mode.Replicated.Replicas > 0 {
			look(s.Spec.TaskTemplate.ContainerSpec.Mounts, true)
		}
	}
	return m, nil
}

// A volume is new as long as a mark stands beside it. The mark, not its
// absence, says that something is still to be done: a volume from a backup, or
// from before there were marks, is never initialised over its data.

// beside is the directory of a volume's project, where its mark is.
func beside(v dockercall.Volume) string { return string(v.Environment) + "/" + string(v.Project) }

// mark is the name of a volume's mark. No volume's name begins with a dot.
func mark(v dockercall.Volume) string { return beside(v) + "/.new-" + string(v.Name) }

func isNew(root *os.Root, v dockercall.Volume) (bool, error) {
	_, err := root.Lstat(mark(v))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func markNew(root *os.Root, v dockercall.Volume) error {
	f, err := root.OpenFile(mark(v), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), settle(root, beside(v)))
}

func unmark(root *os.Root, v dockercall.Volume) error {
	if err := root.Remove(mark(v)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// volumeSettle makes a volume one that is new no more.
func (g *Guard) volumeSettle(_ *http.Request, c *dockercall.VolumeSettle) (struct{}, error) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return struct{}{}, err
	}
	defer root.Close()
	v := dockercall.Volume(*c)
	there, err := isDirectory(root, within(v))
	if err == nil && !there {
		err = problem.New(problem.NotFound, "no volume %s", c.Name)
	}
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, errors.Join(unmark(root, v), settle(root, beside(v)))
}
