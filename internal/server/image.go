package server

import (
	"context"
	"net/http"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/spec"
)

func (s *Server) images(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Images == nil {
		return absent("images")
	}
	env, err := environment(r)
	if err != nil {
		return err
	}
	list, err := s.set.Backend.Images.List(r.Context(), env)
	if err != nil {
		return err
	}
	return answer(w, append([]api.Image{}, list...))
}

// imageName reads ?env= and ?name=.
func imageName(r *http.Request) (env, name string, err error) {
	if env, err = ownEnvironment(r); err != nil {
		return "", "", err
	}
	name = r.URL.Query().Get("name")
	if name != "" && !spec.ValidImage(name) {
		return "", "", problem.New(problem.Invalid, "%q is not an image name", name).
			With("write it like debian:bookworm, in lower case")
	}
	return env, name, nil
}

// nameless is the answer to an image without a name.
func nameless() error {
	return problem.New(problem.Invalid, "the image has no name").With("give one as ?name=NAME:TAG")
}

func (s *Server) load(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Builder == nil {
		return absent("builder")
	}
	env, name, err := imageName(r)
	if err != nil {
		return err
	}
	made, err := s.set.Backend.Builder.Load(r.Context(), env, name, r.Body)
	if err != nil {
		return err
	}
	return answer(w, made)
}

// pull goes on when its reader goes away: what has come needs not come again.
func (s *Server) pull(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Builder == nil {
		return absent("builder")
	}
	env, name, err := imageName(r)
	if err == nil && name == "" {
		err = nameless()
	}
	if err != nil {
		return err
	}
	return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
		made, err := s.set.Backend.Builder.Pull(ctx, env, name, report)
		if err != nil {
			return nil, err
		}
		return &made, nil
	})
}

// build ends with its request, as the context comes with it.
func (s *Server) build(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Builder == nil {
		return absent("builder")
	}
	o, err := buildOptions(r)
	if err != nil {
		return err
	}
	// The context may still be on its way when the first lines of output are.
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		return err
	}
	return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer context.AfterFunc(r.Context(), cancel)()
		defer cancel()
		made, err := s.set.Backend.Builder.Build(ctx, o, r.Body, report)
		if err != nil {
			return nil, err
		}
		return &made, nil
	})
}

func buildOptions(r *http.Request) (o api.BuildOptions, err error) {
	if o.Environment, o.Name, err = imageName(r); err != nil {
		return o, err
	}
	if o.Name == "" {
		return o, nameless()
	}
	if o.NoCache, err = truth(r, "nocache"); err != nil {
		return o, err
	}
	q := r.URL.Query()
	o.Dockerfile, o.Target, o.Args = q.Get("dockerfile"), q.Get("target"), q["arg"]
	for _, a := range o.Args {
		if k, _, found := strings.Cut(a, "="); !found || k == "" {
			return o, problem.New(problem.Invalid, "the build argument %q has no value", k).With("write it as NAME=value")
		}
	}
	return o, nil
}

func (s *Server) removeImage(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Images == nil {
		return absent("images")
	}
	env, name, err := imageName(r)
	if err == nil && name == "" {
		err = nameless()
	}
	if err != nil {
		return err
	}
	return s.removed(w, r, func(ctx context.Context) (api.Removed, error) {
		return s.set.Backend.Images.Remove(ctx, env, name)
	})
}
