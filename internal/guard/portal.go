package guard

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/sys/unix"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// portalRepo names the portal's image. It has no environment in it, so that no
// image of an environment can have the name.
const portalRepo = "havre.invalid/portal"

// portalImage is the id of the portal's image; "" when there is no portal.
func (g *Guard) portalImage() (dockercall.ImageID, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.portal != "" || g.set.PortalImage == nil {
		return g.portal, nil
	}
	_, id, err := g.set.PortalImage()
	if err != nil {
		return "", fmt.Errorf("make the portal's image: %w", err)
	}
	g.portal = dockercall.ImageID(id)
	return g.portal, nil
}

// portalPlace makes what an environment's portal needs.
func (g *Guard) portalPlace(r *http.Request, c *dockercall.Portal) (dockercall.PortalPlace, error) {
	id, err := g.portalImage()
	if err != nil {
		return dockercall.PortalPlace{}, err
	}
	if id == "" {
		return dockercall.PortalPlace{}, problem.New(problem.Unavailable, "this guard has no portal")
	}
	if err := g.loadPortal(r.Context(), id); err != nil {
		return dockercall.PortalPlace{}, fmt.Errorf("load the portal's image: %w", err)
	}
	dir, err := g.portalDirectory(c.Environment)
	return dockercall.PortalPlace{Image: id, Directory: dir, User: g.judge.PortalAs()}, err
}

// loadPortal gives the engine the portal's image, and the image a name, so
// that pruning leaves it alone.
func (g *Guard) loadPortal(ctx context.Context, id dockercall.ImageID) error {
	if !g.has(ctx, id) {
		archive, _, err := g.set.PortalImage()
		if err != nil {
			return err
		}
		w := dockercall.Wire{Method: http.MethodPost, Path: "/images/load", Query: "quiet=1"}
		if err := g.sendArchive(ctx, w, archive); err != nil {
			return err
		}
		if !g.has(ctx, id) {
			return problem.New(problem.Internal, "the engine has the portal's image under another id than %s", id)
		}
	}
	q := url.Values{"repo": {portalRepo}, "tag": {string(id)[len("sha256:"):][:12]}}
	return g.engine.post(ctx, "/images/"+string(id)+"/tag", q.Encode(), nil, nil)
}

func (g *Guard) has(ctx context.Context, id dockercall.ImageID) bool {
	var image struct{ Id dockercall.ImageID }
	return g.engine.get(ctx, "/images/"+string(id)+"/json", "", &image) == nil && image.Id == id
}

// sendArchive sends a tar and reads the engine's answer to its end.
func (g *Guard) sendArchive(ctx context.Context, w dockercall.Wire, archive io.Reader) error {
	r, err := g.engine.request(ctx, w, archive)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-tar")
	return g.engine.answer(r, nil)
}

// portalDirectory makes the directory that a portal and the ingress share.
func (g *Guard) portalDirectory(e dockercall.Environment) (string, error) {
	root, err := os.OpenRoot(g.bounds.portals())
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := mkdir(root, string(e), 0o700); err != nil {
		return "", err
	}
	dir, err := root.OpenFile(string(e), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	if err := g.own(dir, owner{int(g.set.PortalUser), int(g.bounds.PortalGroup)}); err != nil {
		return "", err
	}
	return g.bounds.portals() + "/" + string(e), dir.Chmod(os.ModeSetgid | 0o770)
}
