package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"havre/internal/problem"
	"havre/internal/route"
)

// maxTable bounds what may be put: ten thousand routes with certificates.
const maxTable = 64 << 20

// listenControl opens the control socket for its group, if one is named, and
// for nobody else. The socket gets its place when its rights are right, so a
// caller finds it ready or not at all.
// Errors: Conflict when another ingress answers there, unless we take over from it.
func listenControl(path string, group int, over bool) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
	} else {
		over = true
	}
	if !over {
		return nil, problem.New(problem.Conflict, "another ingress answers at %s", path).
			With("stop it first: havre down")
	}
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, problem.New(problem.Failed, "open the control socket").Because(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: next, Net: "unix"})
	if err != nil {
		return nil, problem.New(problem.Failed, "open the control socket").Because(err)
	}
	l.SetUnlinkOnClose(false) // it would remove the name that it was made by
	mode := os.FileMode(0o600)
	if group > 0 {
		mode, err = 0o660, os.Chown(next, -1, group)
	}
	if err == nil {
		err = os.Chmod(next, mode)
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		l.Close()
		os.Remove(next)
		return nil, problem.New(problem.Failed, "open the control socket").Because(err)
	}
	return l, nil
}

// serveControl answers on l until the returned function is called.
func (f *front) serveControl(l net.Listener, cancel context.CancelCauseFunc) (stop func()) {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /table", f.putTable)
	mux.HandleFunc("PUT /challenges", f.putChallenges)
	mux.HandleFunc("POST /probe", f.probe)
	if f.set.Access != nil {
		mux.Handle("GET /access", f.set.Access)
	}
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { answer(w, f.counts()) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, f.status()) })
	mux.HandleFunc("GET /profile", profile)
	s := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		ErrorLog:          slog.NewLogLogger(f.set.Log.Handler(), slog.LevelWarn),
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			cancel(err)
		}
	})
	return func() {
		ctx, done := context.WithTimeout(context.Background(), goodbyeTime)
		defer done()
		s.Shutdown(ctx)
		s.Close()
		serving.Wait()
		if !f.replaced() {
			os.Remove(f.set.ControlSocket)
		}
	}
}

func (f *front) putTable(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTable))
	if err != nil {
		complain(w, problem.New(problem.Invalid, "read the table").Because(err))
		return
	}
	t, err := route.Parse(b)
	if err != nil {
		complain(w, err)
		return
	}
	applied, err := f.put(t)
	if err != nil {
		f.set.Log.Error("table refused", "err", err)
		complain(w, err)
		return
	}
	answer(w, applied)
}

func (f *front) probe(w http.ResponseWriter, r *http.Request) {
	var p route.Probe
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(b))
		d.DisallowUnknownFields()
		err = d.Decode(&p)
	}
	if err != nil {
		complain(w, problem.New(problem.Invalid, "read what to probe").Because(err))
		return
	}
	if err := p.Target.Validate(); err != nil {
		complain(w, err)
		return
	}
	c, err := f.dial(r.Context(), p.Target)
	if err != nil {
		answer(w, route.Probed{Says: err.Error()})
		return
	}
	c.Close()
	answer(w, route.Probed{OK: true})
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(what) // a caller that left needs no answer
}

// complain answers with a problem. Its reader is the server, which may know all.
func complain(w http.ResponseWriter, err error) {
	p := problem.Of(err)
	status := http.StatusInternalServerError
	if p.Kind == problem.Invalid {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{
		"status": status, "title": http.StatusText(status), "kind": p.Kind, "detail": err.Error(), "remedy": p.Remedy,
	})
}

// longestProfile bounds how long a caller may slow the ingress down.
const longestProfile = time.Minute

// profile answers with what the ingress spends its processor time on during
// ?seconds=N, in the form that go tool pprof reads. One runs at a time.
func profile(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("seconds"))
	d := time.Duration(n) * time.Second
	if err != nil || d <= 0 || d > longestProfile {
		complain(w, problem.New(problem.Invalid, "seconds is 1 to %d", longestProfile/time.Second))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		complain(w, problem.New(problem.Conflict, "profile the ingress").Because(err))
		return
	}
	defer pprof.StopCPUProfile()
	select {
	case <-r.Context().Done():
	case <-time.After(d):
	}
}
