package server

import (
	"net/http"

	"havre/internal/api"
)

func (s *Server) usage(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Meter == nil {
		return absent("meter")
	}
	env, err := environment(r)
	if err != nil {
		return err
	}
	list, err := s.set.Backend.Meter.Usage(r.Context(), env, r.URL.Query().Get("project"))
	if err != nil {
		return err
	}
	return answer(w, append([]api.Usage{}, list...))
}
