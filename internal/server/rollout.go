package server

import (
	"context"
	"net/http"
	"strconv"

	"havre/internal/api"
	"havre/internal/problem"
)

func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Rollouts == nil {
		return absent("rollouts")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	all, err := s.set.Backend.Rollouts.History(r.Context(), t)
	if err != nil {
		return err
	}
	return answer(w, append([]api.Rollout{}, all...))
}

func (s *Server) diff(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Rollouts == nil {
		return absent("rollouts")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	var o api.DiffOptions
	if o.From, err = rolloutNumber(r, "from"); err != nil {
		return err
	}
	if o.To, err = rolloutNumber(r, "to"); err != nil {
		return err
	}
	if o.Secrets, err = truth(r, "secrets"); err != nil {
		return err
	}
	d, err := s.set.Backend.Rollouts.Diff(r.Context(), t, o)
	if err != nil {
		return err
	}
	if d.Fields == nil {
		d.Fields = []api.Difference{}
	}
	return answer(w, d)
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Rollouts == nil {
		return absent("rollouts")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	to, err := rolloutNumber(r, "to")
	if err != nil {
		return err
	}
	return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
		return nil, s.set.Backend.Rollouts.Rollback(ctx, t, to, report)
	})
}

func (s *Server) scale(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Scaler == nil {
		return absent("scaler")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	text := r.URL.Query().Get("replicas")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return problem.New(problem.Invalid, "parameter replicas is %q", text).With("use a number of containers; 0 is none")
	}
	shared, err := truth(r, "shared")
	if err != nil {
		return err
	}
	return s.progress(w, r, func(ctx context.Context, report Report) (*api.Image, error) {
		return nil, s.set.Backend.Scaler.Scale(ctx, t, api.Scale{Replicas: n, Shared: shared}, report)
	})
}

// rolloutNumber reads a parameter that may be left out, which is 0.
func rolloutNumber(r *http.Request, name string) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, problem.New(problem.Invalid, "parameter %s is %q", name, text).With("use a rollout's number, from 1")
	}
	return n, nil
}
