package guard

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// statHeader is in which the engine tells what stands at a path (Docker API
// 1.41, ContainerArchiveInfo).
const statHeader = "X-Docker-Container-Path-Stat"

// containerPath tells what stands at a path of a container.
func (g *Guard) containerPath(w http.ResponseWriter, r *http.Request, c *dockercall.ContainerPath) error {
	if c.Path == "" {
		return problem.New(problem.Invalid, "no path was given")
	}
	a, err := g.send(r, c)
	if err != nil {
		return err
	}
	w.Header().Set(statHeader, a.Header.Get(statHeader))
	pass(w, a)
	return nil
}

// containerGet passes an archive on. It is the engine that reads it, within
// the container's root.
func (g *Guard) containerGet(w http.ResponseWriter, r *http.Request, c *dockercall.ContainerGet) error {
	if c.Path == "" {
		return problem.New(problem.Invalid, "no path was given")
	}
	a, err := g.send(r, c)
	if err != nil {
		return err
	}
	w.Header().Set(statHeader, a.Header.Get(statHeader))
	pass(w, a)
	return nil
}

// containerPut writes an archive afresh, entry by entry, to the engine, which
// unpacks it within the container's root. What was sent before an entry was
// refused is there: to copy is not atomic.
func (g *Guard) containerPut(w http.ResponseWriter, r *http.Request, c *dockercall.ContainerPut) error {
	if c.Path == "" {
		return problem.New(problem.Invalid, "no path was given")
	}
	wire, err := dockercall.Write(c)
	if err != nil {
		return err
	}
	archive, in := io.Pipe()
	var refused error
	written := make(chan struct{})
	go func() {
		defer close(written)
		refused = g.copyEntries(in, &bounded{from: r.Body, left: g.bounds.ImageBytes})
		in.CloseWithError(refused)
	}()
	out, err := g.engine.request(r.Context(), wire, archive)
	var a *http.Response
	if err == nil {
		out.Header.Set("Content-Type", "application/x-tar")
		a, err = g.engine.do(out)
	}
	archive.Close()
	select {
	case <-written:
	default: // the engine has heard enough: who has an answer need not send the rest
		w.Header().Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // the connection is of no more use
		<-written
	}
	if err != nil && problem.KindOf(refused) == problem.Invalid {
		return refused
	}
	if err != nil {
		return err
	}
	pass(w, a)
	return nil
}

// mostCopied bounds the entries of one archive.
const mostCopied = 4_000_000

// copyEntries writes the entries of an archive afresh: names, kinds, owners,
// permissions and times. Devices, extended attributes and with them file
// capabilities are not carried along.
func (g *Guard) copyEntries(to io.Writer, from *bounded) error {
	in, out := tar.NewReader(from), tar.NewWriter(to)
	content := &unswollen{entry: in, archive: from, start: from.left}
	for range mostCopied {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if problem.KindOf(err) == problem.Invalid {
			return err // past the bound
		}
		if err != nil {
			return copyRefused("the archive is no plain tar, or breaks off")
		}
		fresh, err := copied(h)
		if err != nil {
			return err
		}
		if fresh == nil {
			continue
		}
		if err := out.WriteHeader(fresh); err != nil {
			return err
		}
		if _, err := io.Copy(out, content); err != nil {
			return err
		}
	}
	return &problem.Problem{Kind: problem.Invalid, Says: "the archive has too many entries", Rule: string(dockercall.TooBig)}
}

// unswollen reads the entries of an archive and fails when they have more
// bytes than the archive had so far: a file with holes claims what is not there.
type unswollen struct {
	entry   io.Reader
	archive *bounded
	start   int64 // what was left of the archive's bound
	given   int64
}

func (u *unswollen) Read(p []byte) (int, error) {
	n, err := u.entry.Read(p)
	if u.given += int64(n); u.given > u.start-u.archive.left {
		return 0, copyRefused("the archive would become more bytes than it has; pack it without holes")
	}
	return n, err
}

// copied is an entry as it is written; nil for the directory itself.
func copied(h *tar.Header) (*tar.Header, error) {
	name := clean(h.Name)
	if name == "" || name == "." {
		return nil, nil
	}
	if !copyName(name) {
		return nil, copyRefused("the archive holds the odd name %.100q", name)
	}
	e := &tar.Header{Typeflag: h.Typeflag, Name: name, Mode: h.Mode & 0o7777, Uid: h.Uid, Gid: h.Gid, ModTime: time.Unix(h.ModTime.Unix(), 0), Format: tar.FormatPAX}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Size = h.Size
	case tar.TypeDir:
		e.Name += "/"
	case tar.TypeSymlink:
		e.Linkname = h.Linkname
	case tar.TypeLink:
		if e.Linkname = clean(h.Linkname); !copyName(e.Linkname) {
			return nil, copyRefused("the hard link %.100q leads to %.100q", name, h.Linkname)
		}
	case tar.TypeFifo:
	default:
		return nil, copyRefused("%.100q is neither file, directory nor link", name)
	}
	return e, nil
}

// copyName tells whether a name stays below where it is unpacked.
func copyName(name string) bool {
	return len(name) <= 4096 && fs.ValidPath(name) && !strings.ContainsRune(name, 0)
}

func copyRefused(format string, args ...any) error {
	return &problem.Problem{Kind: problem.Invalid, Says: fmt.Sprintf(format, args...), Rule: string(dockercall.CopyEntry)}
}
