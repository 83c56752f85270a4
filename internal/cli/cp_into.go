package cli

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"havre/internal/problem"
)

// into copies from this machine to a service.
func (x *copying) into(ctx context.Context, from string, to copyEnd) error {
	if _, _, err := x.owner(); err != nil {
		return err
	}
	t, err := x.target(to)
	if err != nil {
		return err
	}
	// What is missing from here on is a path, and not the service.
	if _, err := x.cl.Stat(ctx, t, "/"); err != nil {
		return err
	}
	look := func(at string) (found, error) {
		at = path.Clean(at)
		st, err := x.cl.Stat(ctx, t, at)
		if err == nil && st.Link != "" {
			if at, err = x.lead(ctx, t, at); err == nil {
				st, err = x.cl.Stat(ctx, t, at)
			}
		}
		if problem.KindOf(err) == problem.NotFound {
			return found{}, nil
		}
		return found{err == nil, st.Dir}, err
	}
	if from == "-" {
		return x.send(func(w *tar.Writer) error { return x.pass(w) }, func(r io.Reader) error { return x.cl.PutFile(ctx, t, path.Clean(to.path), r) }, to)
	}
	info, err := x.source(from)
	if err != nil {
		return err
	}
	dir, name, err := landing(arrival{info.IsDir(), filepath.Base(absolute(from)), from, to.path}, look)
	if err != nil {
		return err
	}
	return x.send(func(w *tar.Writer) error { return x.pack(w, from, name) }, func(r io.Reader) error { return x.cl.PutFile(ctx, t, dir, r) }, to)
}

// source looks at what is to be copied.
func (x *copying) source(from string) (fs.FileInfo, error) {
	look := os.Lstat
	if x.follow || strings.HasSuffix(from, "/") || strings.HasSuffix(from, "/.") {
		look = os.Stat
	}
	info, err := look(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.NotFound, "there is no %s here", from)
	}
	if err != nil {
		return nil, problem.New(problem.Invalid, "look at %s", from).Because(err)
	}
	return info, nil
}

func absolute(from string) string {
	if abs, err := filepath.Abs(from); err == nil {
		return abs
	}
	return from
}

// send writes an archive while it is sent.
func (x *copying) send(write func(*tar.Writer) error, put func(io.Reader) error, to copyEnd) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		t := tar.NewWriter(w)
		err := write(t)
		if err == nil {
			err = t.Close()
		}
		w.CloseWithError(err)
		written <- err
	}()
	err := put(r)
	r.CloseWithError(io.ErrClosedPipe) // who was refused need not write on
	if here := <-written; here != nil && !errors.Is(here, io.ErrClosedPipe) {
		return problem.New(problem.Failed, "read what is to be copied").Because(here)
	}
	if err != nil {
		return err
	}
	return x.done(to.name + ":" + to.path)
}

// pack writes a file or a directory with all it holds, called name.
func (x *copying) pack(w *tar.Writer, from, name string) error {
	top := from
	if x.follow {
		if real, err := filepath.EvalSymlinks(from); err == nil {
			top = real
		}
	}
	return filepath.WalkDir(filepath.Clean(top), func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(filepath.Clean(top), at)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if entry := path.Join(name, filepath.ToSlash(below)); entry != "." && entry != "" {
			return x.packOne(w, at, entry, info)
		}
		return nil
	})
}

func (x *copying) packOne(w *tar.Writer, at, entry string, info fs.FileInfo) error {
	link := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		var err error
		if link, err = os.Readlink(at); err != nil {
			return err
		}
	case !info.Mode().IsRegular() && !info.IsDir():
		x.note("left out %s: it is neither file, directory nor link", at)
		return nil
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uname, h.Gname = entry, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	x.own(h, info)
	if err := w.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read, never written
	n, err := io.CopyN(w, f, h.Size)
	x.count.Files, x.count.Bytes = x.count.Files+1, x.count.Bytes+n
	return err
}

// own says whose an entry is.
func (x *copying) own(h *tar.Header, info fs.FileInfo) {
	uid, gid, _ := x.owner() // it was read before
	if st, ok := info.Sys().(*syscall.Stat_t); ok && x.archive && x.chown == "" {
		uid, gid = int(st.Uid), int(st.Gid)
	}
	h.Uid, h.Gid = uid, gid
}

// pass hands on the tar from standard input, with its owners unless told
// otherwise.
func (x *copying) pass(w *tar.Writer) error {
	in := tar.NewReader(x.in)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if x.chown != "" {
			h.Uid, h.Gid, _ = x.owner() // it was read before
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		n, err := io.Copy(w, in)
		if h.Typeflag == tar.TypeReg {
			x.count.Files, x.count.Bytes = x.count.Files+1, x.count.Bytes+n
		}
		if err != nil {
			return err
		}
	}
}
