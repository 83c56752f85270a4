package server

import (
	"context"
	"net/http"
	"path"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
)

// filePath reads the path that is meant.
func (s *Server) filePath(r *http.Request) (t api.Target, at string, err error) {
	if s.set.Backend.Files == nil {
		return t, "", absent("files")
	}
	if t, err = target(r, false); err != nil {
		return t, "", err
	}
	at = r.URL.Query().Get("path")
	if !strings.HasPrefix(at, "/") || strings.ContainsAny(at, "\x00\n\r") || len(at) > 4000 {
		return t, "", problem.New(problem.Invalid, "%q is no absolute path", at).With("write it like /vol/rw/file")
	}
	return t, path.Clean(at), nil
}

func (s *Server) statFile(w http.ResponseWriter, r *http.Request) error {
	t, at, err := s.filePath(r)
	if err != nil {
		return err
	}
	st, err := s.set.Backend.Files.Stat(r.Context(), t, at)
	if err != nil {
		return err
	}
	return answer(w, st)
}

// archive is a writer whose first byte fixes the answer.
type archive struct {
	http.ResponseWriter
	begun bool
}

// Write writes what the engine gives.
func (a *archive) Write(b []byte) (int, error) {
	if !a.begun {
		a.begun = true
		a.Header().Set("Content-Type", api.ContentTar)
	}
	return a.ResponseWriter.Write(b)
}

func (s *Server) getFile(w http.ResponseWriter, r *http.Request) error {
	t, at, err := s.filePath(r)
	if err != nil {
		return err
	}
	ctx, cancel := s.until(r)
	defer cancel()
	out := &archive{ResponseWriter: w}
	err = s.set.Backend.Files.Get(ctx, t, at, out)
	if err != nil && out.begun {
		s.set.Log.Info("an archive broke off", "number", requestID(r), "err", err)
		panic(http.ErrAbortHandler) // it must not look whole
	}
	return err
}

func (s *Server) putFile(w http.ResponseWriter, r *http.Request) error {
	t, at, err := s.filePath(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	fill, err := truth(r, "fill")
	if err != nil {
		return err
	}
	if fill {
		if err := s.set.Backend.Files.Fill(ctx, t, r.Body); err != nil {
			return err
		}
		return answer(w, api.Copied{Path: "/"})
	}
	if err := s.set.Backend.Files.Put(ctx, t, at, r.Body); err != nil {
		return err
	}
	return answer(w, api.Copied{Path: at})
}
