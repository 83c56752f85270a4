// Package server is the HTTP API: who may ask, what they may ask, and how they
// are answered. What is behind it comes by the small interfaces of Backend.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"havre/internal/problem"
	"havre/internal/secret"
)

// Settings are everything that can differ between two servers.
type Settings struct {
	Socket    string         // path of the unix socket; "" is none
	Group     int            // of the socket, which it may then use too; 0 leaves it to its owner and root
	Listen    string         // TCP address, "127.0.0.1:7080"; "" is none
	Listeners []net.Listener // already open, besides the two above; unix or TCP
	Token     secret.Text    // whoever shows it may do everything; an empty one lets nobody in but root on the socket
	Metrics   bool           // whoever is on this machine may read the metrics without the token
	Pages     http.Handler   // answers what is not the API's; judges itself who may look; nil: nothing does
	Backend   Backend
	KeepAlive time.Duration // silence on a stream is broken this often; 0 is 15 s
	Grace     time.Duration // requests get this long to end when the server stops; 0 is 10 s
	Log       *slog.Logger  // default: discard
}

// Server serves the API.
type Server struct {
	set     Settings
	handler http.Handler
	life    context.Context // of work that outlives its request; set by Run
	end     context.CancelFunc
	work    sync.WaitGroup // of the same
}

// New makes a server that does nothing yet.
func New(set Settings) *Server {
	if set.Log == nil {
		set.Log = slog.New(slog.DiscardHandler)
	}
	if set.KeepAlive == 0 {
		set.KeepAlive = 15 * time.Second
	}
	if set.Grace == 0 {
		set.Grace = 10 * time.Second
	}
	s := &Server{set: set}
	s.life, s.end = context.WithCancel(context.Background())
	s.handler = s.wrap(s.mux())
	return s
}

// Run serves until ctx is done, then lets requests end within Grace. It may be
// called once.
// Errors: Unavailable when an address cannot be had.
func (s *Server) Run(ctx context.Context) error {
	listeners, err := s.listen(ctx)
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler:           s.handler,
		ConnContext:       withPeer,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.set.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- web.Serve(l) }()
	}
	left := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		left--
	}
	s.stop(web)
	for range left {
		<-failed
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// stop ends work that outlives its request first: what was applied is
// remembered, so the next server goes on with it.
func (s *Server) stop(web *http.Server) {
	s.end()
	grace, cancel := context.WithTimeout(context.Background(), s.set.Grace)
	defer cancel()
	if web.Shutdown(grace) != nil {
		if err := web.Close(); err != nil {
			s.set.Log.Debug("close", "err", err)
		}
	}
	done := make(chan struct{})
	go func() { s.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-grace.Done():
		s.set.Log.Warn("stopped while work was still going on")
	}
}

func (s *Server) listen(ctx context.Context) ([]net.Listener, error) {
	all := s.set.Listeners
	if s.set.Socket != "" {
		l, err := socket(ctx, s.set.Socket, s.set.Group)
		if err != nil {
			return nil, problem.New(problem.Unavailable, "listen on %s", s.set.Socket).Because(err)
		}
		all = append(all, l)
	}
	if s.set.Listen != "" {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.set.Listen)
		if err != nil {
			closeAll(all)
			return nil, problem.New(problem.Unavailable, "listen on %s", s.set.Listen).Because(err).
				With("choose another address, or end what uses it (ss -ltnp shows it)")
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, problem.New(problem.Invalid, "the server has no address to listen on")
	}
	return all, nil
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		if err := l.Close(); err != nil {
			return // nothing more can be done for a listener that is not closed
		}
	}
}

// socket takes over from a server that died without removing it.
func socket(ctx context.Context, path string, group int) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	mode := os.FileMode(0o600)
	if group > 0 {
		mode, err = 0o660, os.Chown(path, -1, group)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		closeAll([]net.Listener{l})
		return nil, err
	}
	return l, nil
}
