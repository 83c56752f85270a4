package server

import (
	"net/http"

	"havre/internal/api"
)

// logs ends with the request: nobody is left to read.
func (s *Server) logs(project bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.set.Backend.Logs == nil {
			return absent("logs")
		}
		t, err := target(r, project)
		if err != nil {
			return err
		}
		o, err := logOptions(r)
		if err != nil {
			return err
		}
		out := newStream(w)
		defer out.close()
		calm := s.calm(out)
		ctx, cancel := s.until(r)
		err = s.set.Backend.Logs.Logs(ctx, t, o, func(l api.Line) error { return out.put(l) })
		cancel()
		calm()
		return s.endLogs(out, r, err)
	}
}

// access reads the access log of a service.
func (s *Server) access(w http.ResponseWriter, r *http.Request) error {
	page, err := s.accessPage(r, "")
	if err != nil {
		return err
	}
	return answer(w, page.Lines)
}

// accessOn reads on in the access log of a service.
func (s *Server) accessOn(w http.ResponseWriter, r *http.Request) error {
	page, err := s.accessPage(r, r.URL.Query().Get("after"))
	if err != nil {
		return err
	}
	return answer(w, page)
}

func (s *Server) accessPage(r *http.Request, after string) (page api.AccessPage, err error) {
	if s.set.Backend.Access == nil {
		return page, absent("access logs")
	}
	t, err := target(r, false)
	if err != nil {
		return page, err
	}
	o, err := logOptions(r)
	if err != nil {
		return page, err
	}
	page, err = s.set.Backend.Access.Access(r.Context(), t, o, after)
	page.Lines = append([]api.Access{}, page.Lines...) // none is a list, too
	return page, err
}

func (s *Server) endLogs(out *stream, r *http.Request, err error) error {
	switch {
	case err == nil && !out.started():
		_ = out.write(nil) // no lines at all are an empty stream
	case err == nil || r.Context().Err() != nil || s.life.Err() != nil:
	case !out.started():
		return err
	default:
		_ = out.put(api.Line{Problem: &s.shown(r, err)[0]}) // who has gone cannot be told
	}
	return nil
}
