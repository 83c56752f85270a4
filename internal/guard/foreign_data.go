package guard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// data is a directory with somebody's data, and the names beside it under
// which a copy leaves and comes. Its parent is root's alone.
type data struct{ parent, name string }

func (d data) here() string    { return filepath.Join(d.parent, d.name) }
func (d data) leaving() string { return filepath.Join(d.parent, "."+d.name+".leaving") }
func (d data) coming() string  { return filepath.Join(d.parent, "."+d.name+".coming") }

// gone refuses while any data is left there.
func (d data) gone() error {
	for _, dir := range []string{d.here(), d.leaving()} {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			return problem.New(problem.Conflict, "there is still data in %s", dir).With("import it, or move it away")
		}
	}
	return nil
}

// foreignData moves data of others into a volume or back.
func (g *Guard) foreignData(r *http.Request, c *dockercall.ForeignData) (dockercall.ForeignDataAnswer, error) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	var answer dockercall.ForeignDataAnswer
	theirs := data{filepath.Dir(string(c.Path)), filepath.Base(string(c.Path))}
	if c.From != "" {
		var err error
		if theirs, err = g.engineVolume(r.Context(), c.From); err != nil {
			return answer, err
		}
	}
	root, err := os.OpenRoot(g.bounds.volumes())
	if err != nil {
		return answer, err
	}
	defer root.Close()
	project := string(c.Environment) + "/" + string(c.Project)
	for _, dir := range []string{string(c.Environment), project} {
		if err := mkdir(root, dir, 0o700); err != nil {
			return answer, err
		}
	}
	ours := data{filepath.Join(g.bounds.volumes(), project), string(c.Name)}
	from, to := theirs, ours
	if c.Back {
		from, to = ours, theirs
	}
	if there, err := from.any(); err != nil || !there {
		if there, err := to.any(); err == nil && !there {
			return answer, problem.New(problem.NotFound, "there is no directory %s", from.here())
		}
		return answer, err
	}
	used, err := g.mountedAt(r.Context(), theirs.here())
	if err == nil && len(used) > 0 {
		err = problem.New(problem.Conflict, "a container that runs mounts %s", theirs.here()).With("stop it, or import it too")
	}
	if err == nil {
		answer.How, err = transfer(r.Context(), from, to)
	}
	return answer, err
}

// any tells whether there is data, whole or half gone.
func (d data) any() (bool, error) {
	here, err := there(d.here())
	if err != nil || here {
		return here, err
	}
	return there(d.leaving())
}

// engineVolume finds where the engine keeps a volume of its own.
// Errors: NotFound; Invalid when it is no plain directory of this machine.
func (g *Guard) engineVolume(ctx context.Context, name dockercall.VolumeName) (data, error) {
	var v struct {
		Name, Driver, Mountpoint string
		Options                  map[string]string
	}
	if err := g.engine.get(ctx, "/volumes/"+string(name), "", &v); err != nil {
		return data{}, err
	}
	if v.Driver != "local" || len(v.Options) > 0 || !strings.HasSuffix(v.Mountpoint, "/volumes/"+string(name)+"/_data") {
		return data{}, problem.New(problem.Invalid, "the volume %s is no plain directory of this machine", name).With("copy its data yourself")
	}
	return data{filepath.Dir(v.Mountpoint), filepath.Base(v.Mountpoint)}, nil
}

// transfer moves a directory: by renaming where that is one step, else by a
// copy that is compared before it counts. At each moment one of from.here,
// from.leaving and to.here is whole, and their names tell which; so it may be
// called again after a crash at any line, and ends the same.
func transfer(ctx context.Context, from, to data) (string, error) {
	start, err := there(from.here())
	if err != nil {
		return "", err
	}
	half, err := there(from.leaving())
	if err != nil {
		return "", err
	}
	end, err := there(to.here())
	switch {
	case err != nil:
		return "", err
	case !start && !half && end:
		return "", nil
	case !start && !half:
		return "", problem.New(problem.NotFound, "there is no directory %s", from.here())
	case start && half:
		return "", problem.New(problem.Conflict, "%s came anew while its data was on the way", from.here()).With("look at both, and move %s away", from.here())
	case start && end:
		if err := os.Remove(to.here()); err != nil { // an empty one holds nothing
			return "", problem.New(problem.Conflict, "there is data in %s and in %s", from.here(), to.here()).With("look at both, and move one away")
		}
		end = false
	}
	if start {
		if err := renameAcross(from.here(), to.here()); err == nil {
			return "renamed", errors.Join(syncDir(to.parent), syncDir(from.parent))
		}
		if err := errors.Join(os.Rename(from.here(), from.leaving()), syncDir(from.parent)); err != nil {
			return "", err
		}
	}
	return "copied", finishCopy(ctx, from, to, end)
}

// finishCopy goes on from where the original lies in from.leaving.
func finishCopy(ctx context.Context, from, to data, arrived bool) error {
	if arrived {
		if err := alike(from.leaving(), to.here()); err != nil {
			return err
		}
		return errors.Join(os.RemoveAll(from.leaving()), syncDir(from.parent))
	}
	if err := os.RemoveAll(to.coming()); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", "--", from.leaving(), to.coming()).CombinedOutput()
	if err != nil {
		return problem.New(problem.Failed, "copy %s: %s", from.here(), bytes.TrimSpace(out)).Because(err).With("make room, then again; nothing is lost")
	}
	if err := alike(from.leaving(), to.coming()); err != nil {
		return err
	}
	dir, err := os.Open(to.coming())
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close(), os.Rename(to.coming(), to.here()), syncDir(to.parent)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(from.leaving()), syncDir(from.parent))
}

func there(dir string) (bool, error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !info.IsDir() {
		err = problem.New(problem.Denied, "%s is not a directory", dir)
	}
	return err == nil, err
}

// alike compares two trees: names, kinds, owners, modes, targets and bytes.
func alike(a, b string) error {
	x, err := fingerprint(a)
	if err != nil {
		return err
	}
	y, err := fingerprint(b)
	if err == nil && !bytes.Equal(x, y) {
		err = problem.New(problem.Conflict, "%s and %s are not the same", a, b).With("look at both; nothing was removed")
	}
	return err
}

func fingerprint(dir string) ([]byte, error) {
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		fmt.Fprintf(sum, "%q %o %d %d %d\n", strings.TrimPrefix(path, dir), st.Mode, st.Uid, st.Gid, st.Rdev)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			fmt.Fprintf(sum, "%q\n", target)
			return err
		case unix.S_IFREG:
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			n, err := io.Copy(sum, f)
			fmt.Fprintf(sum, "\n%d\n", n)
			return err
		}
		return nil
	})
	return sum.Sum(nil), err
}
