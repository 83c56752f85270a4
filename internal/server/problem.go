package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
)

// refusal is a Denied for want of a token; it has a status of its own.
type refusal struct{ *problem.Problem }

// Unwrap gives the problem itself, so that it is found and shown.
func (r *refusal) Unwrap() error { return r.Problem }

// misuse is an Invalid with a status that says more than 400.
type misuse struct {
	*problem.Problem
	status int
}

// Unwrap gives the problem itself, so that it is found and shown.
func (m *misuse) Unwrap() error { return m.Problem }

// shown makes err into what may be sent. Our own mistakes are logged here,
// whole and once, and only their number is shown.
func (s *Server) shown(r *http.Request, err error) []problem.Problem {
	if errors.Is(err, context.Canceled) && (s.life.Err() != nil || r.Context().Err() != nil) {
		err = problem.New(problem.Unavailable, "Havre stopped while this was going on").
			With("what was applied goes on when Havre is up again; look with: havre ps")
	}
	flat := api.Flat(err)
	number := requestID(r)
	for i, p := range flat {
		if p.Kind != problem.Internal && p.Kind != "" {
			continue
		}
		s.set.Log.Error("internal error", "number", number, "method", r.Method, "path", r.URL.Path, "err", err)
		flat[i] = *problem.New(problem.Internal, "internal error %s", number).
			With("look for %s in the server's log", number)
	}
	return flat
}

// fail answers with err as application/problem+json.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	flat := s.shown(r, err)
	first := flat[0]
	p := api.Problem{
		Type:     "urn:havre:problem:" + string(first.Kind),
		Title:    strings.ReplaceAll(string(first.Kind), "-", " "),
		Status:   api.StatusOf(first.Kind),
		Detail:   first.Says,
		Instance: requestID(r),
		Kind:     first.Kind,
		Remedy:   first.Remedy,
		Rule:     first.Rule,
		Where:    first.Where,
	}
	if len(flat) > 1 {
		p.Problems = flat
	}
	var m *misuse
	if errors.As(err, &m) {
		p.Status = m.status
	}
	var refused *refusal
	if errors.As(err, &refused) {
		p.Status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Bearer realm="havre"`)
	}
	if first.Kind == problem.Busy || first.Kind == problem.Unavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.Header().Set("Content-Type", api.ContentProblem)
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		s.set.Log.Debug("answer not taken", "number", requestID(r), "err", err)
	}
}
