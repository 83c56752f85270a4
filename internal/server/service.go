package server

import (
	"net/http"

	"havre/internal/api"
)

func (s *Server) services(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Services == nil {
		return absent("services")
	}
	env, err := environment(r)
	if err != nil {
		return err
	}
	list, err := s.set.Backend.Services.List(r.Context(), env, r.URL.Query().Get("project"))
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

func (s *Server) declared(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Services == nil {
		return absent("services")
	}
	t, err := target(r, true)
	if err != nil {
		return err
	}
	d, err := s.set.Backend.Services.Declared(r.Context(), t)
	if err != nil {
		return err
	}
	return answer(w, d)
}
