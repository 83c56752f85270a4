package guard

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// seedTarget is where the container that is never started mounts the new
// volume. It hides nothing of an image.
const seedTarget = string(policy.SeedTarget)

// top is a volume's directory itself.
type top struct {
	owner owner
	mode  fs.FileMode
}

// seed copies the image's directory into the new volume at dir. The engine
// does the unpacking, in a container that is never started; no archive from
// an image is unpacked by the guard.
func (g *Guard) seed(ctx context.Context, dir string, c *dockercall.VolumeEnsure) (top, error) {
	var i policy.Image
	if err := g.image(ctx, dockercall.ImageName(c.Image), &i); err != nil {
		return top{}, err
	}
	id, err := g.seedContainer(ctx, dir, i)
	if err != nil {
		return top{}, err
	}
	defer g.removeContainer(context.WithoutCancel(ctx), id)
	found, err := g.directory(ctx, id, string(c.Path))
	if err != nil {
		return top{}, err
	}
	t := top{mode: 0o755}
	if found != nil {
		t = *found
		if err := g.copyInside(ctx, id, string(c.Path)+"/.", seedTarget); err != nil {
			return top{}, fmt.Errorf("copy %s of the image: %w", c.Path, err)
		}
	}
	// The directories below /vol belong to the service, whatever the image
	// made of them.
	if found == nil || c.Path == "/vol" || strings.HasPrefix(string(c.Path), "/vol/") {
		t.owner, err = g.resolve(ctx, id, string(c.User), c.Image)
	}
	return t, err
}

// seedContainer makes a container that is never started, with the directory
// dir at seedTarget unless that is "". Memory stands where the image declares
// volumes: it is mounted at a start only, and keeps the engine from making
// volumes, which it would fill and mount at once.
func (g *Guard) seedContainer(ctx context.Context, dir string, image policy.Image) (string, error) {
	mounts := []map[string]any{}
	for at := range covered(image.Volumes) {
		mounts = append(mounts, map[string]any{"Type": "tmpfs", "Target": at})
	}
	if dir != "" {
		mounts = append(mounts, map[string]any{"Type": "bind", "Source": dir, "Target": seedTarget})
	}
	body := map[string]any{
		"Image": image.ID, "Entrypoint": []string{dockercall.NeverStarted}, "NetworkDisabled": true,
		"Labels": map[string]string{dockercall.InstanceLabel: g.instance, dockercall.KindLabel: policy.SeedKind},
		"HostConfig": map[string]any{
			"NetworkMode": "none", "LogConfig": map[string]string{"Type": "none"},
			"Mounts": mounts,
		},
	}
	var made struct{ Id string }
	err := g.engine.post(ctx, "/containers/create", "", body, &made)
	return made.Id, err
}

// covered are the places where the engine would make volumes for an image.
func covered(volumes []string) map[string]bool {
	all := map[string]bool{}
	for _, v := range volumes {
		all[path.Clean(v)] = true
	}
	return all
}

func (g *Guard) removeContainer(ctx context.Context, id string) {
	err := g.engine.call(ctx, dockercall.Wire{Method: http.MethodDelete, Path: "/containers/" + id, Query: "force=1&v=1"}, nil)
	if unlessMissing(err) != nil {
		g.log.Warn("a container of the guard's own stays behind until the next start", "container", id, "err", err)
	}
}

// archive reads path out of a container; nil when there is no such path.
func (g *Guard) archive(ctx context.Context, id, path string) (io.ReadCloser, error) {
	w := dockercall.Wire{Method: http.MethodGet, Path: "/containers/" + id + "/archive", Query: url.Values{"path": {path}}.Encode()}
	r, err := g.engine.request(ctx, w, nil)
	if err != nil {
		return nil, err
	}
	a, err := g.engine.do(r)
	if err != nil {
		return nil, err
	}
	if err := failed(a); err != nil {
		a.Body.Close()
		return nil, unlessMissing(err)
	}
	return a.Body, nil
}

// directory gives the owner and mode of a directory in a container; nil when
// there is none.
func (g *Guard) directory(ctx context.Context, id, path string) (*top, error) {
	a, err := g.archive(ctx, id, path)
	if err != nil || a == nil {
		return nil, err
	}
	defer a.Close()
	h, err := tar.NewReader(io.LimitReader(a, 1<<20)).Next()
	if err != nil {
		return nil, fmt.Errorf("read %s of the image: %w", path, err)
	}
	if h.Typeflag != tar.TypeDir {
		return nil, nil
	}
	return &top{owner{h.Uid, h.Gid}, h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetgid | fs.ModeSticky)}, nil
}

// copyInside copies between two places of a container, through its archives.
func (g *Guard) copyInside(ctx context.Context, id, from, to string) error {
	a, err := g.archive(ctx, id, from)
	if err != nil || a == nil {
		return err
	}
	w := dockercall.Wire{Method: http.MethodPut, Path: "/containers/" + id + "/archive", Query: url.Values{"path": {to}}.Encode()}
	kept, in := io.Pipe()
	var copying sync.WaitGroup
	copying.Go(func() { in.CloseWithError(withoutDeviceNames(in, &bounded{from: a, left: g.bounds.SeedBytes})) })
	defer copying.Wait() // what it reads and what it writes are closed before
	defer a.Close()
	defer kept.Close()
	return g.sendArchive(ctx, w, kept)
}

// deviceNames are what a runtime opens in /dev by itself. Should a volume ever
// come to stand there, none of them leads anywhere.
var deviceNames = []string{"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}

// withoutDeviceNames copies an archive but for what is called like a device at
// its top and is neither file nor directory.
func withoutDeviceNames(to io.Writer, from io.Reader) error {
	in, out := tar.NewReader(from), tar.NewWriter(to)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return err
		}
		plain := h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeDir
		if !plain && slices.Contains(deviceNames, path.Clean(h.Name)) {
			continue
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// bounded is a reader that fails past a bound, where a cut would look whole.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, problem.New(problem.Invalid, "more bytes than the guard's bounds allow").With("root may raise it in bounds.json")
	}
	return n, err
}

// resolve gives the numbers of a user as the engine would: by the image's
// own passwd and group files.
func (g *Guard) resolve(ctx context.Context, id, user string, image dockercall.ImageID) (owner, error) {
	if user == "" {
		var i struct{ Config struct{ User string } }
		if err := g.engine.get(ctx, "/images/"+string(image)+"/json", "", &i); err != nil {
			return owner{}, err
		}
		user = i.Config.User
	}
	name, group, _ := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	o, err := g.userOf(ctx, id, name)
	if err != nil || group == "" {
		return o, err
	}
	o.gid, err = g.groupOf(ctx, id, group)
	return o, err
}

func (g *Guard) userOf(ctx context.Context, id, name string) (owner, error) {
	uid, numeric := number(name)
	var o *owner
	err := g.lines(ctx, id, "/etc/passwd", func(f []string) {
		if len(f) < 4 || o != nil {
			return
		}
		u, okU := number(f[2])
		gid, okG := number(f[3])
		if okU && okG && (f[0] == name || numeric && u == uid) {
			o = &owner{u, gid}
		}
	})
	switch {
	case err != nil:
		return owner{}, err
	case o != nil:
		return *o, nil
	case numeric:
		return owner{uid, 0}, nil
	}
	return owner{}, problem.New(problem.Invalid, "the image has no user %s", name)
}

func (g *Guard) groupOf(ctx context.Context, id, name string) (int, error) {
	if gid, numeric := number(name); numeric {
		return gid, nil
	}
	found := -1
	err := g.lines(ctx, id, "/etc/group", func(f []string) {
		if gid, ok := number(at(f, 2)); ok && f[0] == name && found < 0 {
			found = gid
		}
	})
	if err == nil && found < 0 {
		err = problem.New(problem.Invalid, "the image has no group %s", name)
	}
	return found, err
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// number reads a user's or group's number.
func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}

// lines gives the fields of each line of a small file in a container. A
// file that is missing, or is a link, has no lines.
func (g *Guard) lines(ctx context.Context, id, path string, each func(fields []string)) error {
	a, err := g.archive(ctx, id, path)
	if err != nil || a == nil {
		return err
	}
	defer a.Close()
	t := tar.NewReader(io.LimitReader(a, 2<<20))
	h, err := t.Next()
	if errors.Is(err, io.EOF) || err == nil && h.Typeflag != tar.TypeReg {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s of the image: %w", path, err)
	}
	s := bufio.NewScanner(io.LimitReader(t, 1<<20))
	for s.Scan() {
		each(strings.Split(s.Text(), ":"))
	}
	return s.Err()
}
