package guard

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/imagepath"
	"havre/internal/policy"
	"havre/internal/problem"
)

// lookInto calls do with a way to see what stands in an image: in a container that
// is never started.
func (g *Guard) lookInto(ctx context.Context, image policy.Image, do func(stat func(path string) (imagepath.Entry, error)) error) error {
	g.volumes.Lock() // the sweep removes such containers while it holds this
	defer g.volumes.Unlock()
	id, err := g.seedContainer(ctx, "", image)
	if err != nil {
		return err
	}
	defer g.removeContainer(context.WithoutCancel(ctx), id)
	if err := do(func(path string) (imagepath.Entry, error) { return g.entryAt(ctx, id, path) }); err != nil {
		return err
	}
	// In a container that is gone nothing is found, and nothing is no answer.
	var still policy.Object
	if err := g.container(ctx, dockercall.ContainerID(id), &still); err != nil {
		return err
	}
	if !still.Exists {
		return problem.New(problem.Unavailable, "the container that the guard looked into was removed")
	}
	return nil
}

// conventions looks which of the places that mean something an image has.
func (g *Guard) conventions(r *http.Request, c *dockercall.Conventions) (dockercall.ConventionsAnswer, error) {
	answer := dockercall.ConventionsAnswer{Paths: []string{}}
	var image policy.Image
	if err := g.image(r.Context(), dockercall.ImageName(c.Image), &image); err != nil {
		return answer, err
	}
	return answer, g.lookInto(r.Context(), image, func(stat func(string) (imagepath.Entry, error)) error {
		for _, path := range dockercall.ConventionPaths {
			e, err := stat(path)
			if err != nil {
				return err
			}
			if e.There && e.Dir == strings.HasPrefix(path, "/vol/") {
				answer.Paths = append(answer.Paths, path)
			}
		}
		return nil
	})
}

// maxLooked bounds what is remembered of images; it is a fraction of a MiB.
const maxLooked = 4096

// looked is what was seen at a path of an image. An image never changes.
type looked struct {
	image dockercall.ImageID
	path  string
}

// resolvePaths follows paths in the call's image, if it is an environment's.
func (g *Guard) resolvePaths(ctx context.Context, f *policy.Facts, paths []dockercall.Path) error {
	f.Resolved = map[dockercall.Path]dockercall.Path{}
	if len(f.Image.Refs) == 0 || len(paths) > 2*policy.MaxMounts {
		return nil // policy refuses it
	}
	follow := func(stat func(string) (imagepath.Entry, error)) error {
		for _, p := range paths {
			if p == "" {
				continue
			}
			leads, err := imagepath.Follow(string(p), stat)
			if err != nil {
				return err
			}
			f.Resolved[p] = dockercall.Path(leads)
		}
		return nil
	}
	unknown := false
	remembered := func(path string) (imagepath.Entry, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		e, known := g.looked[looked{f.Image.ID, path}]
		unknown = unknown || !known
		return e, nil
	}
	if err := follow(remembered); err == nil && !unknown {
		return nil
	}
	seen := map[looked]imagepath.Entry{}
	err := g.lookInto(ctx, f.Image, func(stat func(string) (imagepath.Entry, error)) error {
		return follow(func(path string) (imagepath.Entry, error) {
			e, err := stat(path)
			seen[looked{f.Image.ID, path}] = e
			return e, err
		})
	})
	if err != nil {
		f.Resolved = nil
		return fmt.Errorf("look where the mounts lead in the image: %w", err)
	}
	g.keepLooked(seen)
	return nil
}

func (g *Guard) keepLooked(seen map[looked]imagepath.Entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.looked)+len(seen) > maxLooked {
		clear(g.looked)
	}
	for k, e := range seen {
		g.looked[k] = e
	}
}

// entryAt tells what stands at a path of a container.
func (g *Guard) entryAt(ctx context.Context, id, path string) (imagepath.Entry, error) {
	w := dockercall.Wire{Method: http.MethodHead, Path: "/containers/" + id + "/archive", Query: url.Values{"path": {path}}.Encode()}
	r, err := g.engine.request(ctx, w, nil)
	if err != nil {
		return imagepath.Entry{}, err
	}
	a, err := g.engine.do(r)
	if err != nil {
		return imagepath.Entry{}, err
	}
	defer a.Body.Close()
	if a.StatusCode == http.StatusNotFound {
		return imagepath.Entry{}, nil
	}
	if err := failed(a); err != nil {
		return imagepath.Entry{}, err
	}
	var stat struct {
		Mode       fs.FileMode `json:"mode"`
		LinkTarget string      `json:"linkTarget"`
	}
	text, err := base64.StdEncoding.DecodeString(a.Header.Get(statHeader))
	if err == nil {
		err = json.Unmarshal(text, &stat)
	}
	link := stat.Mode&fs.ModeSymlink != 0
	if err == nil && link != (stat.LinkTarget != "") {
		err = fmt.Errorf("the engine does not say where the link %s leads", path)
	}
	return imagepath.Entry{There: true, Dir: stat.Mode.IsDir(), Link: stat.LinkTarget}, err
}
