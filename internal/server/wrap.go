package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

type idKey struct{}

// requestID is the number under which a request is found in the log.
func requestID(r *http.Request) string {
	id, _ := r.Context().Value(idKey{}).(string)
	return id
}

// record knows whether an answer has begun.
type record struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *record) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes the status that comes with a body.
func (w *record) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush and hijack.
func (w *record) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// wrap is around every request: its number, the door, panics, the log.
func (s *Server) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(plain http.ResponseWriter, r *http.Request) {
		id := strings.ToLower(rand.Text()[:10])
		r = r.WithContext(context.WithValue(r.Context(), idKey{}, id))
		w := &record{ResponseWriter: plain}
		w.Header().Set("X-Request-Id", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		began := time.Now()
		defer func() {
			if p := recover(); p != nil {
				s.panicked(w, r, p)
			}
			s.set.Log.Debug("request", "number", id, "method", r.Method, "path", r.URL.Path,
				"status", w.status, "took", time.Since(began))
		}()
		if s.set.Pages != nil && !ofAPI(r.URL.Path) {
			if err := s.sameHost(r); err != nil {
				s.fail(w, r, err)
				return
			}
			s.set.Pages.ServeHTTP(w, r)
			return
		}
		if err := s.admit(r); err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ofAPI tells whether a path is the API's, whatever stands there.
func ofAPI(path string) bool {
	return path == "/v1" || strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/metrics")
}

// panicked ends one request, never the process.
func (s *Server) panicked(w *record, r *http.Request, p any) {
	err := panicError(p)
	if w.status == 0 {
		s.fail(w, r, err)
		return
	}
	s.shown(r, err)
	panic(http.ErrAbortHandler) // cuts the connection, so that half an answer is not taken for a whole one
}

func panicError(p any) error { return fmt.Errorf("panic: %v\n%s", p, debug.Stack()) }
