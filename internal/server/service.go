package server

import (
	"net/http"

	"havre/internal/api"
)

func (s *Server) services(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Services == nil {
		return absent("services")
	}
	q := r.URL.Query()
	list, err := s.set.Backend.Services.List(r.Context(), q.Get("env"), q.Get("project"))
	if err != nil {
		return err
	}
	return answer(w, append([]api.Service{}, list...))
}

func (s *Server) service(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Services == nil {
		return absent("services")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	found, err := s.set.Backend.Services.Find(r.Context(), t)
	if err != nil {
		return err
	}
	return answer(w, found)
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Services == nil {
		return absent("services")
	}
	t, err := target(r, false)
	if err != nil {
		return err
	}
	why, err := s.set.Backend.Services.Why(r.Context(), t)
	if err != nil {
		return err
	}
	return answer(w, why)
}
