package server

import (
	"net/http"

	"havre/internal/api"
)

func (s *Server) version(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Health == nil {
		return absent("health")
	}
	v, err := s.set.Backend.Health.Version(r.Context())
	if err != nil {
		return err
	}
	return answer(w, v)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Health == nil {
		return absent("health")
	}
	st, err := s.set.Backend.Health.Status(r.Context())
	if err != nil {
		return err
	}
	if st.Parts == nil {
		st.Parts = []api.Part{}
	}
	return answer(w, st)
}

func (s *Server) authority(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Authority == nil {
		return absent("authority")
	}
	pem, err := s.set.Backend.Authority.Root(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", api.ContentPEM)
	_, _ = w.Write(pem) // who has gone cannot be told
	return nil
}
