package guard

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"havre/internal/dockercall"
)

// conventions looks which of the places that mean something an image has, in a
// container that is never started.
func (g *Guard) conventions(r *http.Request, c *dockercall.Conventions) (dockercall.ConventionsAnswer, error) {
	g.volumes.Lock() // the sweep removes such containers while it holds this
	defer g.volumes.Unlock()
	answer := dockercall.ConventionsAnswer{Paths: []string{}}
	id, err := g.seedContainer(r.Context(), "", c.Image)
	if err != nil {
		return answer, err
	}
	defer g.removeContainer(context.WithoutCancel(r.Context()), id)
	for _, path := range dockercall.ConventionPaths {
		mode, there, err := g.modeAt(r.Context(), id, path)
		if err != nil {
			return answer, err
		}
		if there && mode.IsDir() == strings.HasPrefix(path, "/vol/") {
			answer.Paths = append(answer.Paths, path)
		}
	}
	return answer, nil
}

// modeAt tells what stands at a path of a container.
func (g *Guard) modeAt(ctx context.Context, id, path string) (mode fs.FileMode, there bool, err error) {
	w := dockercall.Wire{Method: http.MethodHead, Path: "/containers/" + id + "/archive", Query: url.Values{"path": {path}}.Encode()}
	r, err := g.engine.request(ctx, w, nil)
	if err != nil {
		return 0, false, err
	}
	a, err := g.engine.do(r)
	if err != nil {
		return 0, false, err
	}
	defer a.Body.Close()
	if a.StatusCode == http.StatusNotFound {
		return 0, false, nil
	}
	if err := failed(a); err != nil {
		return 0, false, err
	}
	var stat struct {
		Mode fs.FileMode `json:"mode"`
	}
	text, err := base64.StdEncoding.DecodeString(a.Header.Get(statHeader))
	if err == nil {
		err = json.Unmarshal(text, &stat)
	}
	return stat.Mode, err == nil, err
}
