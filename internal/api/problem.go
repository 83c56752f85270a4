package api

import (
	"errors"
	"net/http"

	"havre/internal/problem"
)

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type     string            `json:"type" doc:"urn:havre:problem: and the kind"`
	Title    string            `json:"title" doc:"the kind in words"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail" doc:"what and why"`
	Instance string            `json:"instance" doc:"the request's number, as in the server's log"`
	Kind     problem.Kind      `json:"kind" enum:"internal,invalid,not-found,conflict,denied,busy,unavailable,failed"`
	Remedy   string            `json:"remedy,omitempty" doc:"what to do about it"`
	Rule     string            `json:"rule,omitempty" doc:"the guard's rule that refused"`
	Where    problem.Place     `json:"where,omitzero" doc:"in the person's file"`
	Problems []problem.Problem `json:"problems,omitempty" doc:"all of them, when there are several; the first stands above too"`
}

// Error makes of p what went wrong on the other side.
func (p Problem) Error() error {
	if len(p.Problems) > 0 {
		return Problems(p.Problems)
	}
	kind := p.Kind
	if kind == "" {
		kind = problem.Internal
	}
	return &problem.Problem{Kind: kind, Says: p.Detail, Remedy: p.Remedy, Rule: p.Rule, Where: p.Where}
}

// Problems makes an error of a list that came over the wire: nil when empty,
// a *problem.Problem when there is one, else a problem.List.
func Problems(ps []problem.Problem) error {
	var l problem.List
	for i := range ps {
		l = append(l, &ps[i])
	}
	if len(l) == 1 {
		return l[0]
	}
	return l.AsError()
}

// Flat takes err apart for the wire: one entry for each problem of a list,
// causes folded into the sentences. Flat(nil) is empty.
func Flat(err error) []problem.Problem {
	if err == nil {
		return nil
	}
	var list problem.List
	if !errors.As(err, &list) {
		list = problem.List{problem.Of(err)}
	}
	flat := make([]problem.Problem, len(list))
	for i, p := range list {
		flat[i] = *p
		flat[i].Err = nil
		if p.Err != nil && p.Err.Error() != p.Says {
			flat[i].Says += ": " + p.Err.Error()
		}
	}
	return flat
}

// StatusOf is the HTTP status of a kind of problem.
func StatusOf(kind problem.Kind) int {
	switch kind {
	case problem.Invalid:
		return http.StatusBadRequest
	case problem.NotFound:
		return http.StatusNotFound
	case problem.Conflict:
		return http.StatusConflict
	case problem.Denied:
		return http.StatusForbidden
	case problem.Busy:
		return http.StatusLocked
	case problem.Unavailable:
		return http.StatusServiceUnavailable
	case problem.Failed:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}
