package guard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// pull takes an image from its registry. It asks which digest the name means
// and pulls by that: a pull by a tag would move a name of somebody else's in
// the engine. No credentials go along, so an environment gets only what the
// registry gives to anybody, whatever the engine has already.
func (g *Guard) pull(w http.ResponseWriter, r *http.Request, c *dockercall.ImagePull) error {
	as, err := dockercall.PulledAs(c.Environment, c.Image)
	if err != nil {
		return err
	}
	digest, err := g.digestOf(r.Context(), c.Image)
	if err != nil {
		return err
	}
	source := c.Image.Repo() + "@" + digest
	end, err := g.pulling(r.Context(), source)
	if err != nil {
		return err
	}
	defer end()
	var i policy.Image
	if err := g.image(r.Context(), dockercall.ImageName(source), &i); err != nil {
		return err
	}
	out := &messages{w: w}
	was := i.Exists // by that digest: then it is somebody else's name, and stays
	if !was {
		err = g.fetch(r.Context(), source, out)
		if err == nil {
			err = g.image(r.Context(), dockercall.ImageName(source), &i)
		}
	}
	if err == nil {
		err = g.name(r.Context(), i, as)
	}
	if !was {
		err = errors.Join(err, g.unname(context.WithoutCancel(r.Context()), source))
	}
	if err != nil && !out.begun {
		return err
	}
	if err != nil {
		g.log.Warn("a pull failed", "image", c.Image, "as", as, "err", err)
	}
	out.end(err)
	return nil
}

// digestOf asks the registry which image a name means now.
func (g *Guard) digestOf(ctx context.Context, name dockercall.RegistryName) (string, error) {
	var a struct{ Descriptor struct{ Digest string } }
	if err := g.engine.get(ctx, "/distribution/"+name.At()+"/json", "", &a); err != nil {
		var p *problem.Problem
		if errors.As(err, &p) && p.Kind != problem.Unavailable {
			err = problem.New(problem.Failed, "%s", p.Says) // without our path
		}
		return "", err
	}
	// What stands in a path of the engine's API is checked, whoever says it.
	got := dockercall.RegistryName(name.Repo() + "@" + a.Descriptor.Digest)
	if got.Digest() == "" || name.Digest() != "" && name.Digest() != got.Digest() {
		return "", problem.New(problem.Failed, "the registry gave %.80q as the digest of %s", a.Descriptor.Digest, name)
	}
	return got.Digest(), nil
}

// pulling has one pull of a source at a time: what was there before it is not
// to be told apart otherwise.
func (g *Guard) pulling(ctx context.Context, source string) (end func(), err error) {
	for {
		g.mu.Lock()
		other, busy := g.pulls[source]
		if !busy {
			done := make(chan struct{})
			g.pulls[source] = done
			g.mu.Unlock()
			return func() {
				g.mu.Lock()
				defer g.mu.Unlock()
				delete(g.pulls, source)
				close(done)
			}, nil
		}
		g.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fetch has the engine pull, and passes its messages on until one is an error.
func (g *Guard) fetch(ctx context.Context, source string, out *messages) error {
	repo, digest := dockercall.RegistryName(source).Repo(), dockercall.RegistryName(source).Digest()
	query := url.Values{"fromImage": {repo}, "tag": {digest}}
	ask, err := g.engine.request(ctx, dockercall.Wire{Method: http.MethodPost, Path: "/images/create", Query: query.Encode()}, nil)
	if err != nil {
		return err
	}
	a, err := g.engine.do(ask)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := failed(a); err != nil {
		return err
	}
	d := json.NewDecoder(a.Body)
	for {
		var m struct {
			ID             string          `json:"id,omitempty"`
			Status         string          `json:"status,omitempty"`
			ProgressDetail json.RawMessage `json:"progressDetail,omitempty"`
			Error          string          `json:"error,omitempty"`
		}
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return problem.New(problem.Unavailable, "the engine stopped in the middle of a pull").Because(err)
		}
		if m.Error != "" {
			return problem.New(problem.Failed, "the engine says: %s", m.Error)
		}
		out.put(m)
	}
}

// name gives what came its name in the environment, if it may have one.
func (g *Guard) name(ctx context.Context, i policy.Image, as dockercall.Ref) error {
	if !i.Exists {
		return problem.New(problem.Failed, "the engine has not kept what it pulled")
	}
	portal, err := g.portalImage()
	if err != nil {
		return err
	}
	if err := policy.Pulled(i, portal); err != nil {
		return err
	}
	query := url.Values{"repo": {as.Repo()}, "tag": {as.Tag()}}
	return g.engine.post(ctx, "/images/"+string(i.ID)+"/tag", query.Encode(), nil, nil)
}

// unname takes the registry's name away, and with it an image that got no other.
func (g *Guard) unname(ctx context.Context, source string) error {
	err := g.engine.call(ctx, dockercall.Wire{Method: http.MethodDelete, Path: "/images/" + source}, nil)
	if problem.KindOf(err) == problem.Conflict { // a container of somebody else's has begun to use it
		return nil
	}
	return unlessMissing(err)
}

// messages is an answer of one JSON value after the other.
type messages struct {
	w     http.ResponseWriter
	begun bool
}

func (m *messages) put(v any) {
	if !m.begun {
		m.begun = true
		m.w.Header().Set("Content-Type", "application/json")
	}
	// Whoever does not listen any more ends the request's context.
	_ = json.NewEncoder(m.w).Encode(v)
	_ = http.NewResponseController(m.w).Flush()
}

// end says how it went, as the engine does.
func (m *messages) end(err error) {
	if err == nil {
		m.put(map[string]string{"status": "done"})
		return
	}
	says := problem.Of(err).Says
	if rule := problem.Of(err).Rule; rule != "" {
		says = "refused: " + says + " [rule " + rule + "]"
	}
	m.put(map[string]any{"error": says, "errorDetail": map[string]string{"message": says}})
}
