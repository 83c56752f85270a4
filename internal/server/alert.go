package server

import (
	"net/http"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
)

func (s *Server) alerts(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Alerts == nil {
		return absent("alerts")
	}
	all, err := s.set.Backend.Alerts.Alerts(r.Context())
	if err != nil {
		return err
	}
	return answer(w, whole(all))
}

func (s *Server) silence(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Alerts == nil {
		return absent("alerts")
	}
	q := r.URL.Query()
	span, err := time.ParseDuration(q.Get("for"))
	if err != nil || span < 0 || q.Get("name") == "" {
		return problem.New(problem.Invalid, "a silence needs a name and a time").With("write it as ?name=prod.shop.web&for=2h")
	}
	all, err := s.set.Backend.Alerts.Silence(r.Context(), q.Get("name"), span)
	if err != nil {
		return err
	}
	return answer(w, whole(all))
}

func (s *Server) testAlerts(w http.ResponseWriter, r *http.Request) error {
	if s.set.Backend.Alerts == nil {
		return absent("alerts")
	}
	all, err := s.set.Backend.Alerts.TestAlerts(r.Context(), r.URL.Query().Get("channel"))
	if err != nil {
		return err
	}
	return answer(w, append([]api.Tested{}, all...))
}

// whole has lists where there would be null.
func whole(a api.Alerts) api.Alerts {
	a.Alerts, a.Silences, a.Channels = append([]api.Alert{}, a.Alerts...), append([]api.Silence{}, a.Silences...), append([]string{}, a.Channels...)
	return a
}
