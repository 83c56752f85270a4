package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
)

// copying is one havre cp.
type copying struct {
	*console
	cl      *client.Client
	archive bool // keep owners
	follow  bool // links of the source
	chown   string
	count   tally
}

// tally is how much was copied.
type tally struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

func newCp(c *console) *cobra.Command {
	x := &copying{console: c}
	cmd := &cobra.Command{
		Use:   "cp SRC DST",
		Short: "Copy files between this machine and a service or volume",
		Long: "Copies as docker cp does: one of SRC and DST is NAME:PATH, the other a path on this machine, or - for a\n" +
			"tar. NAME is a service, or PROJECT/VOLUME. A directory is copied with all it holds; DIR/. copies only\n" +
			"what it holds. Into a directory that exists the source is copied below it, with its name.\n\n" +
			"What a service only reads (/vol/ro) can be filled so. Of a service with several containers one is taken:\n" +
			"what is in no volume is in that one alone, and gone with it. Files belong to root unless --chown or -a\n" +
			"says otherwise. Devices and sockets are left out.",
		Example: "  havre cp site.conf shop.web:/vol/ro/\n  havre cp shop/db.vol-rw:/backup ./backup\n  tar c -C site . | havre cp - shop.web:/vol/rw --chown 1000:1000",
		Args:    takes(2, 2, "SRC and DST, one of them NAME:PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if x.cl, err = c.client(); err != nil {
				return err
			}
			from, inFrom := splitPlace(args[0])
			to, inTo := splitPlace(args[1])
			switch {
			case inFrom && inTo:
				return usage(cmd, "files cannot be copied between services").With("copy them to this machine first, or through a pipe: havre cp A:/x - | havre cp - B:/")
			case !inFrom && !inTo:
				return usage(cmd, "neither %s nor %s names a service or volume", args[0], args[1]).With("write it as NAME:PATH")
			case inFrom:
				return x.out(cmd.Context(), from, to.path)
			}
			return x.into(cmd.Context(), from.path, to)
		},
		ValidArgsFunction: c.names,
	}
	f := cmd.Flags()
	f.BoolVarP(&x.archive, "archive", "a", false, "keep owners, by number")
	f.BoolVarP(&x.follow, "follow-link", "L", false, "copy what SRC leads to, when it is a link")
	f.StringVar(&x.chown, "chown", "", "give what is copied in to UID:GID")
	return c.formats(cmd, "text", "json")
}

// copyEnd is one end of a copy; name is "" on this machine.
type copyEnd struct{ name, path string }

// splitPlace reads NAME:PATH as docker cp does: what begins with / or . is a
// path of this machine.
func splitPlace(arg string) (copyEnd, bool) {
	name, at, ok := strings.Cut(arg, ":")
	if !ok || filepath.IsAbs(arg) || strings.HasPrefix(arg, ".") || name == "" {
		return copyEnd{path: arg}, false
	}
	if !strings.HasPrefix(at, "/") {
		at = "/" + at
	}
	return copyEnd{name, at}, true
}

func (x *copying) target(p copyEnd) (api.Target, error) {
	if strings.Contains(p.name, "/") {
		env, err := x.console.environment()
		return api.Target{Name: p.name, Environment: env}, err
	}
	return x.console.target(p.name)
}

// done tells what was copied.
func (x *copying) done(to string) error {
	x.count.Path = to
	if x.format == "json" {
		return x.json(x.count)
	}
	x.note("copied %d files, %s, to %s", x.count.Files, bytesize(x.count.Bytes), to)
	return nil
}

// out copies from a service to this machine.
func (x *copying) out(ctx context.Context, from copyEnd, to string) error {
	t, err := x.target(from)
	if err != nil {
		return err
	}
	at := path.Clean(from.path)
	if x.follow {
		if at, err = x.lead(ctx, t, at); err != nil {
			return err
		}
	}
	if to == "-" {
		archive, err := x.cl.GetFile(ctx, t, at)
		if err != nil {
			return err
		}
		defer archive.Close() //nolint:errcheck // read, never written
		if _, err := io.Copy(x.console.out, archive); err != nil {
			return problem.New(problem.Failed, "copy %s", at).Because(err)
		}
		return nil
	}
	st, err := x.cl.Stat(ctx, t, at)
	if err != nil {
		return err
	}
	dir, name, err := landing(arrival{st.Dir, path.Base(at), from.path, to}, local)
	if err != nil {
		return err
	}
	archive, err := x.cl.GetFile(ctx, t, at)
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // read, never written
	if err := x.unpack(archive, dir, name); err != nil {
		return problem.New(problem.Failed, "copy %s to %s", at, to).Because(err)
	}
	return x.done(to)
}

// lead follows a link, once, as docker cp does.
func (x *copying) lead(ctx context.Context, t api.Target, at string) (string, error) {
	st, err := x.cl.Stat(ctx, t, at)
	if err != nil || st.Link == "" {
		return at, err
	}
	if strings.HasPrefix(st.Link, "/") {
		return path.Clean(st.Link), nil
	}
	return path.Join(path.Dir(at), st.Link), nil
}

// arrival is what is to be copied, and where people want it.
type arrival struct {
	dir      bool   // the source is a directory
	base     string // its name
	from, to string // as written
}

// found is what stands at a destination.
type found struct{ there, dir bool }

// landing decides where a copy goes, by docker cp's rules: the directory to
// unpack in, and the name that the source gets there; "" is none of its own.
func landing(a arrival, look func(string) (found, error)) (dir, name string, err error) {
	f, err := look(a.to)
	if err != nil {
		return "", "", err
	}
	contents := strings.HasSuffix(a.from, "/.") || a.from == "."
	at := filepath.Clean(a.to)
	switch {
	case f.there && f.dir && a.dir && contents:
		return at, "", nil
	case f.there && f.dir:
		return at, a.base, nil
	case f.there && a.dir:
		return "", "", problem.New(problem.Invalid, "%s is a file, and a directory cannot be copied to it", a.to)
	case f.there:
		return filepath.Dir(at), filepath.Base(at), nil
	case strings.HasSuffix(a.to, "/") && !a.dir:
		return "", "", problem.New(problem.NotFound, "there is no directory %s", a.to).With("make it first, or leave the last / out")
	}
	parent, err := look(filepath.Dir(at))
	if err == nil && (!parent.there || !parent.dir) {
		err = problem.New(problem.NotFound, "there is no directory %s", filepath.Dir(at)).With("make it first")
	}
	return filepath.Dir(at), filepath.Base(at), err
}

func local(at string) (found, error) {
	info, err := os.Stat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, nil
	}
	if err != nil {
		return found{}, problem.New(problem.Invalid, "look at %s", at).Because(err)
	}
	return found{true, info.IsDir()}, nil
}

// unpack writes an archive below dir, its first part called name. Links in the
// archive lead nowhere else: nothing is written through one.
func (x *copying) unpack(archive io.Reader, dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // a directory
	in := tar.NewReader(archive)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := renamed(h.Name, name)
		if at == "." {
			continue
		}
		if err := x.write(root, at, h, in); err != nil {
			return err
		}
	}
}

// renamed gives an entry another first part.
func renamed(entry, name string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+entry), "/"), "/")
	return path.Join(".", name, rest)
}

func (x *copying) write(root *os.Root, at string, h *tar.Header, in io.Reader) error {
	mode := h.FileInfo().Mode().Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.Mkdir(at, mode|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case tar.TypeSymlink:
		if err := root.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return root.Symlink(h.Linkname, at)
	case tar.TypeLink:
		return fmt.Errorf("%s is another name of %s: copy it by itself", h.Name, h.Linkname)
	case tar.TypeReg:
		if err := root.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f, err := root.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		n, err := io.Copy(f, in)
		x.count.Files, x.count.Bytes = x.count.Files+1, x.count.Bytes+n
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if err := root.Chtimes(at, h.ModTime, h.ModTime); err != nil {
			return err
		}
	default:
		x.note("left out %s: it is neither file, directory nor link", h.Name)
		return nil
	}
	if x.archive {
		return root.Lchown(at, h.Uid, h.Gid)
	}
	return nil
}

// owner reads --chown.
func (x *copying) owner() (uid, gid int, err error) {
	if x.chown == "" {
		return 0, 0, nil
	}
	u, g, ok := strings.Cut(x.chown, ":")
	if !ok {
		g = u
	}
	uid, err = strconv.Atoi(u)
	if err == nil {
		gid, err = strconv.Atoi(g)
	}
	if err != nil || uid < 0 || gid < 0 {
		return 0, 0, problem.New(problem.Invalid, "%q is no owner", x.chown).With("write numbers: --chown 1000:1000")
	}
	return uid, gid, nil
}
