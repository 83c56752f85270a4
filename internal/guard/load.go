package guard

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"havre/internal/dockercall"
	"havre/internal/pattern"
	"havre/internal/policy"
	"havre/internal/problem"
)

// manifest is one image of an archive that docker save wrote.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// configuration is what is read of an image's own file. Its digest is the
// image's id.
type configuration struct {
	id     dockercall.ImageID
	Config struct{ Labels map[string]string }
	RootFS *struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// What stands in such an archive: the legacy layout and the OCI one.
var (
	loadFile = pattern.New(`^([0-9a-f]{64}\.json|[0-9a-f]{64}/(json|VERSION|layer\.tar)|blobs/sha256/[0-9a-f]{64}|[0-9A-Za-z_-]{1,64}(\.json|\.tar))$`)
	loadDir  = pattern.New(`^([0-9a-f]{64}|blobs|blobs/sha256)$`)
	loadLink = pattern.New(`^\.\./[0-9a-f]{64}/layer\.tar$`)
	loadFrom = pattern.New(`^[0-9a-f]{64}/layer\.tar$`)
)

// dropped says names or offers other readings of the archive; only
// manifest.json, written afresh, is left.
var dropped = []string{"repositories", "index.json", "oci-layout", "manifest.json"}

func loadRefused(format string, args ...any) error {
	return &problem.Problem{Kind: problem.Invalid, Says: fmt.Sprintf(format, args...), Rule: string(dockercall.LoadArchive)}
}

// load takes in one image under the one name that was asked for.
func (g *Guard) load(w http.ResponseWriter, r *http.Request, c *dockercall.ImageLoad) error {
	spool, err := g.spooled(r.Body, g.bounds.ImageBytes)
	if err != nil {
		return err
	}
	defer spool.Close()
	m, image, err := readManifest(spool)
	if err != nil {
		return err
	}
	portal, err := g.portalImage()
	if err != nil {
		return err
	}
	if err := policy.Loaded(image.id, image.Config.Labels, portal); err != nil {
		return err
	}
	if err := g.judgeLayers(spool, m, image.RootFS.DiffIDs); err != nil {
		return err
	}
	m.RepoTags = []string{string(c.As)}
	wire := dockercall.Wire{Method: http.MethodPost, Path: "/images/load"}
	if c.Quiet {
		wire.Query = "quiet=1"
	}
	return g.stream(w, r, wire, func(out io.Writer) error { return rewriteImage(spool, out, m) })
}

// stream sends the archive that write writes to the engine, and passes the
// engine's progress on.
func (g *Guard) stream(w http.ResponseWriter, r *http.Request, wire dockercall.Wire, write func(io.Writer) error) error {
	archive, in := io.Pipe()
	var writing sync.WaitGroup
	writing.Go(func() { in.CloseWithError(write(in)) })
	defer writing.Wait()
	defer archive.Close()
	out, err := g.engine.request(r.Context(), wire, archive)
	if err != nil {
		return err
	}
	out.Header.Set("Content-Type", "application/x-tar")
	a, err := g.engine.do(out)
	if err != nil {
		return err
	}
	pass(w, a)
	return nil
}

// spooled keeps a body in a file that has no name any more: it is judged and
// then sent from the same bytes.
func (g *Guard) spooled(body io.Reader, most int64) (*os.File, error) {
	f, err := os.CreateTemp(g.spool(), "body-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	n, err := io.Copy(f, io.LimitReader(body, most+1))
	if err == nil && n > most {
		err = &problem.Problem{Kind: problem.Invalid, Says: "the archive is bigger than the guard's bounds allow", Rule: string(dockercall.TooBig)}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// clean gives an entry's name without the ./ and the / that tar programs
// write around it.
func clean(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
}

const (
	maxImageEntries = 2000     // far more than 125 layers need
	maxConfig       = 4 << 20  // of a configuration or a manifest
	maxKept         = 32 << 20 // of all small files together
)

// readManifest checks every entry and gives the manifest of the one image, and
// its configuration.
func readManifest(spool *os.File) (manifest, configuration, error) {
	files := map[string][]byte{}
	names := map[string]bool{}
	var kept int64
	err := eachEntry(spool, maxImageEntries, func(h *tar.Header, t *tar.Reader) error {
		name := clean(h.Name)
		if name == "" || name == "." {
			return nil
		}
		if names[name] {
			return loadRefused("the archive holds %.100q twice", name)
		}
		names[name] = true
		if err := judgeLoadEntry(h, name); err != nil {
			return err
		}
		// The configuration may be any small file; layers are big.
		if h.Size > maxConfig || kept+h.Size > maxKept {
			return nil
		}
		kept += h.Size
		text, err := io.ReadAll(t)
		files[name] = text
		return err
	})
	if err != nil {
		return manifest{}, configuration{}, err
	}
	var all []manifest
	if err := json.Unmarshal(files["manifest.json"], &all); err != nil || len(all) != 1 {
		return manifest{}, configuration{}, loadRefused("the archive does not hold exactly one image (manifest.json)")
	}
	image, err := readConfiguration(all[0].Config, files)
	return all[0], image, err
}

func judgeLoadEntry(h *tar.Header, name string) error {
	ok := false
	switch h.Typeflag {
	case tar.TypeReg:
		ok = loadFile.MatchString(name) || slices.Contains(dropped, name)
	case tar.TypeDir:
		ok = loadDir.MatchString(name)
	case tar.TypeSymlink:
		ok = loadFrom.MatchString(name) && loadLink.MatchString(h.Linkname)
	}
	if !ok {
		return loadRefused("the archive holds an entry that no image needs: %.100q", name)
	}
	return nil
}

// readConfiguration reads an image's own file.
func readConfiguration(name string, files map[string][]byte) (configuration, error) {
	var image configuration
	if slices.Contains(dropped, name) || files[name] == nil {
		return image, loadRefused("the manifest names what is not in the archive: %.100q", name)
	}
	if err := json.Unmarshal(files[name], &image); err != nil || image.RootFS == nil {
		return image, loadRefused("the image's configuration cannot be read")
	}
	image.id = dockercall.ImageID(fmt.Sprintf("sha256:%x", sha256.Sum256(files[name])))
	return image, nil
}

// judgeLayers wants each layer to be what the configuration says. An engine
// that has a layer of that digest takes its own and looks at no byte of the
// archive: by a digest alone one would get what is in an image of others.
func (g *Guard) judgeLayers(spool *os.File, m manifest, ids []string) error {
	sums, links := map[string]string{}, map[string]string{}
	left := g.bounds.ImageBytes
	err := eachEntry(spool, maxImageEntries, func(h *tar.Header, t *tar.Reader) error {
		name := clean(h.Name)
		if h.Typeflag == tar.TypeSymlink {
			links[name] = path.Join(path.Dir(name), h.Linkname)
		}
		if h.Typeflag != tar.TypeReg || slices.Contains(dropped, name) {
			return nil
		}
		plain, err := uncompressed(t)
		if err != nil {
			return err
		}
		sum, from := sha256.New(), &bounded{from: plain, left: left}
		if _, err := io.Copy(sum, from); err != nil {
			return orRefused(err, "%.100q is not whole", name)
		}
		left = from.left
		sums[name] = fmt.Sprintf("sha256:%x", sum.Sum(nil))
		return nil
	})
	if err != nil {
		return err
	}
	if len(ids) != len(m.Layers) {
		return loadRefused("the configuration tells of %d layers, the manifest of %d", len(ids), len(m.Layers))
	}
	for i, name := range m.Layers {
		if to, link := links[name]; link {
			name = to
		}
		if sum, there := sums[name]; !there || sum != ids[i] {
			return loadRefused("the layer %.100q is not what the configuration says: %.80q", name, ids[i])
		}
	}
	return nil
}

// uncompressed gives a file as the engine digests it. Of the compressions only
// gzip is known here; a layer in another one is not what its digest says.
func uncompressed(file io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(file)
	if begin, err := buffered.Peek(2); err != nil || !bytes.Equal(begin, []byte{0x1f, 0x8b}) {
		return buffered, nil // an empty file has no beginning
	}
	plain, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, loadRefused("the archive holds a broken gzip")
	}
	return plain, nil
}

// orRefused lets a refusal be and makes one of what else went wrong.
func orRefused(err error, format string, args ...any) error {
	if problem.KindOf(err) == problem.Invalid {
		return err
	}
	return loadRefused(format, args...)
}

// eachEntry walks a spooled archive.
func eachEntry(spool *os.File, most int, each func(*tar.Header, *tar.Reader) error) error {
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	info, err := spool.Stat()
	if err != nil {
		return err
	}
	left := info.Size() // a sparse file claims more than there is
	t := tar.NewReader(spool)
	for range most {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return loadRefused("the archive is no plain tar")
		}
		if left -= h.Size; left < 0 {
			return loadRefused("the archive claims more bytes than it has")
		}
		if err := each(h, t); err != nil {
			return err
		}
	}
	return &problem.Problem{Kind: problem.Invalid, Says: "the archive has too many entries", Rule: string(dockercall.TooBig)}
}

// rewriteImage writes the archive afresh: the entries that were judged, and
// a manifest of our own.
func rewriteImage(spool *os.File, out io.Writer, m manifest) error {
	t := tar.NewWriter(out)
	err := eachEntry(spool, maxImageEntries, func(h *tar.Header, from *tar.Reader) error {
		name := clean(h.Name)
		if name == "" || name == "." || slices.Contains(dropped, name) {
			return nil
		}
		fresh := &tar.Header{Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Size: h.Size, Mode: 0o644}
		if h.Typeflag == tar.TypeDir {
			fresh.Name, fresh.Mode = name+"/", 0o755
		}
		if h.Typeflag != tar.TypeSymlink {
			fresh.Linkname = ""
		}
		if err := t.WriteHeader(fresh); err != nil {
			return err
		}
		_, err := io.Copy(t, from)
		return err
	})
	if err != nil {
		return err
	}
	text, err := json.Marshal([]manifest{m})
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "manifest.json", Size: int64(len(text)), Mode: 0o644}); err != nil {
		return err
	}
	if _, err := io.Copy(t, bytes.NewReader(text)); err != nil {
		return err
	}
	return t.Close()
}
