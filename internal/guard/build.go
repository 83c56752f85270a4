package guard

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// build judges the context and its Dockerfile, writes both afresh, and has
// the engine's classic builder build them.
func (g *Guard) build(w http.ResponseWriter, r *http.Request, c *dockercall.ImageBuild) error {
	spool, err := g.spooled(r.Body, g.bounds.ContextBytes)
	if err != nil {
		return err
	}
	defer spool.Close()
	if c.Dockerfile == "" {
		c.Dockerfile = "Dockerfile"
	}
	text, err := g.readContext(spool, string(c.Dockerfile))
	if err != nil {
		return err
	}
	file, err := dockercall.ParseDockerfile(text, c.BuildArgs, c.Target)
	if err != nil {
		return err
	}
	ids, err := g.bases(r.Context(), c.As.Environment(), file)
	if err != nil {
		return err
	}
	query, err := g.buildQuery(c)
	if err != nil {
		return err
	}
	wire := dockercall.Wire{Method: http.MethodPost, Path: "/build", Query: query.Encode()}
	fresh := file.Write(ids)
	return g.stream(w, r, wire, func(out io.Writer) error {
		return g.rewriteContext(spool, out, string(c.Dockerfile), fresh)
	})
}

// buildQuery is all that the engine is told besides the context.
func (g *Guard) buildQuery(c *dockercall.ImageBuild) (url.Values, error) {
	const period = 100_000 // microseconds, the kernel's usual one
	memory := strconv.FormatInt(g.bounds.BuildMemory, 10)
	q := url.Values{
		"t": {string(c.As)}, "dockerfile": {string(c.Dockerfile)}, "version": {"1"}, "networkmode": {"default"}, "rm": {"1"}, "forcerm": {"1"},
		"memory": {memory}, "memswap": {memory}, "cpuperiod": {strconv.Itoa(period)}, "cpuquota": {strconv.FormatInt(g.bounds.BuildCPUs*period, 10)},
	}
	if c.Target != "" {
		q.Set("target", string(c.Target))
	}
	if c.NoCache {
		q.Set("nocache", "1")
	}
	if len(c.BuildArgs) > 0 {
		wire, err := dockercall.Write(&dockercall.ImageBuild{BuildArgs: c.BuildArgs})
		if err != nil {
			return nil, err
		}
		args, err := url.ParseQuery(wire.Query)
		if err != nil {
			return nil, err
		}
		q.Set("buildargs", args.Get("buildargs"))
	}
	return q, nil
}

// bases finds the images that a build starts from or copies from, in the
// environment and nowhere else.
func (g *Guard) bases(ctx context.Context, e dockercall.Environment, file *dockercall.Dockerfile) (map[string]dockercall.ImageID, error) {
	ids, runsIn := map[string]dockercall.ImageID{}, file.RunsIn()
	portal, err := g.portalImage()
	if err != nil {
		return nil, err
	}
	for _, name := range file.Images() {
		ref, err := baseOf(e, name)
		if err != nil {
			return nil, err
		}
		var i policy.Image
		if err := g.image(ctx, dockercall.ImageName(ref), &i); err != nil {
			return nil, err
		}
		if !i.Exists {
			return nil, &problem.Problem{Kind: problem.Denied, Says: fmt.Sprintf("the environment %s has no image %s to build on", e, name), Rule: string(dockercall.BuildFrom)}
		}
		if err := policy.Buildable(i, portal, slices.Contains(runsIn, name)); err != nil {
			return nil, fmt.Errorf("build on %s: %w", name, err)
		}
		ids[name] = i.ID
	}
	return ids, nil
}

// baseOf is the engine's name of a base image, which may be written out.
func baseOf(e dockercall.Environment, name string) (dockercall.Ref, error) {
	ref := dockercall.Ref(name)
	if !strings.HasPrefix(name, "havre.invalid/") {
		return dockercall.MakeRef(e, name)
	}
	if ref.Environment() != e {
		return "", &problem.Problem{Kind: problem.Denied, Says: fmt.Sprintf("%s is no image of environment %s", name, e), Rule: string(dockercall.BuildFrom)}
	}
	return ref, nil
}

func entryRefused(format string, args ...any) error {
	return &problem.Problem{Kind: problem.Invalid, Says: fmt.Sprintf(format, args...), Rule: string(dockercall.BuildEntry)}
}

// readContext checks every entry of a context and gives the Dockerfile.
func (g *Guard) readContext(spool *os.File, dockerfile string) ([]byte, error) {
	seen := map[string]byte{} // what stands at a path
	var text []byte
	err := eachEntry(spool, g.bounds.Entries, func(h *tar.Header, t *tar.Reader) error {
		name := clean(h.Name)
		if name == "" || name == "." {
			return nil
		}
		if err := judgeEntry(h, name, seen); err != nil {
			return err
		}
		seen[name] = h.Typeflag
		if name != dockerfile {
			return nil
		}
		if h.Typeflag != tar.TypeReg {
			return entryRefused("the Dockerfile is not a plain file")
		}
		var err error
		text, err = io.ReadAll(io.LimitReader(t, dockercall.MaxDockerfile+1))
		return err
	})
	if err == nil && text == nil {
		err = problem.New(problem.Invalid, "the build context has no %s", dockerfile)
	}
	return text, err
}

// judgeEntry refuses what could be unpacked to another place than it says.
func judgeEntry(h *tar.Header, name string, seen map[string]byte) error {
	if !plainName(name) {
		return entryRefused("the build context holds the odd name %.100q", name)
	}
	if before, twice := seen[name]; twice && (before != tar.TypeDir || h.Typeflag != tar.TypeDir) {
		return entryRefused("the build context holds %.100q twice", name)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if kind, ok := seen[dir]; ok && kind != tar.TypeDir {
			return entryRefused("%.100q lies below something that is no directory", name)
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
		return nil
	case tar.TypeLink:
		if seen[clean(h.Linkname)] == tar.TypeReg {
			return nil
		}
		return entryRefused("the hard link %.100q leads to no file of the context", name)
	}
	return entryRefused("%.100q is neither file, directory nor link", name)
}

func plainName(name string) bool {
	return len(name) <= 4096 && fs.ValidPath(name) && !strings.ContainsAny(name, "\x00\\")
}

// rewriteContext writes the context afresh, with the Dockerfile that was
// understood in place of the one that was sent. Owners, devices, extended
// attributes and times to the nanosecond are not carried along.
func (g *Guard) rewriteContext(spool *os.File, out io.Writer, dockerfile string, fresh []byte) error {
	t := tar.NewWriter(out)
	err := eachEntry(spool, g.bounds.Entries, func(h *tar.Header, from *tar.Reader) error {
		name := clean(h.Name)
		if name == "" || name == "." {
			return nil
		}
		e := &tar.Header{Typeflag: h.Typeflag, Name: name, Mode: h.Mode & 0o777, ModTime: time.Unix(h.ModTime.Unix(), 0)}
		var body io.Reader = from
		switch h.Typeflag {
		case tar.TypeDir:
			e.Name += "/"
		case tar.TypeSymlink:
			e.Linkname = h.Linkname
		case tar.TypeLink:
			e.Linkname = clean(h.Linkname)
		case tar.TypeReg:
			if e.Size = h.Size; name == dockerfile {
				e.Size, body = int64(len(fresh)), bytes.NewReader(fresh)
			}
		}
		if err := t.WriteHeader(e); err != nil {
			return err
		}
		_, err := io.Copy(t, body)
		return err
	})
	return errors.Join(err, t.Close())
}
