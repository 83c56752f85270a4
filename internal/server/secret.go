package server

import (
	"context"
	"net/http"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/spec"
)

func (s *Server) secrets(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Secrets == nil {
		return absent("secrets")
	}
	env, err := environment(r)
	if err != nil {
		return err
	}
	list, err := s.set.Backend.Secrets.ListSecrets(r.Context(), env)
	if err != nil {
		return err
	}
	return answer(w, append([]api.Secret{}, list...))
}

func (s *Server) createSecret(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Secrets == nil {
		return absent("secrets")
	}
	var want api.NewSecret
	if err := read(w, r, &want); err != nil {
		return err
	}
	if want.Environment == "" {
		want.Environment = spec.DefaultEnvironment
	}
	if err := named(want.Environment, want.Name); err != nil {
		return err
	}
	made, err := s.set.Backend.Secrets.CreateSecret(r.Context(), want)
	if err != nil {
		return err
	}
	return answer(w, made)
}

// secretName reads ?env= and ?name=.
func secretName(r *http.Request) (env, name string, err error) {
	if env, err = ownEnvironment(r); err != nil {
		return "", "", err
	}
	name = r.URL.Query().Get("name")
	return env, name, named(env, name)
}

func named(env, name string) error {
	if !spec.ValidEnvironment(env) {
		return problem.New(problem.Invalid, "%q cannot name an environment", env).With("use lower-case letters, digits and -")
	}
	if !spec.ValidSecret(name) {
		return problem.New(problem.Invalid, "%q cannot name a secret", name).With("%s", spec.SecretRemedy)
	}
	return nil
}

func (s *Server) renewSecret(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Secrets == nil {
		return absent("secrets")
	}
	env, name, err := secretName(r)
	if err != nil {
		return err
	}
	return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
		return nil, s.set.Backend.Secrets.RenewSecret(ctx, env, name, report)
	})
}

func (s *Server) removeSecret(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Secrets == nil {
		return absent("secrets")
	}
	env, name, err := secretName(r)
	if err != nil {
		return err
	}
	return s.removed(w, r, func(ctx context.Context) (api.Removed, error) {
		return s.set.Backend.Secrets.RemoveSecret(ctx, env, name)
	})
}
