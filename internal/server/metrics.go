package server

import "net/http"

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Metrics == nil {
		return absent("metrics")
	}
	text, err := s.set.Backend.Metrics.Metrics(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(text) // who has gone cannot be told
	return nil
}
