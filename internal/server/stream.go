package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"havre/internal/api"
)

// errGone says that nobody reads the stream any more.
var errGone = errors.New("the reader has gone")

// stream writes one JSON value per line. It begins with the first line, so an
// error before that can still be a proper one. Safe for several goroutines.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	content string // of which kind; "" is a value per line
	silence string // what breaks it; "" is a blank line

	mu     sync.Mutex // guards what follows
	begun  bool
	closed bool
}

func newStream(w http.ResponseWriter) *stream {
	return &stream{w: w, control: http.NewResponseController(w)}
}

// put writes a line and flushes it. Errors: errGone.
func (s *stream) put(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.write(append(line, '\n'))
}

func (s *stream) write(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errGone
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", cmp.Or(s.content, api.ContentStream))
	}
	// Whoever does not read must not hold up the work that reports here.
	err := s.control.SetWriteDeadline(time.Now().Add(30 * time.Second))
	if err == nil {
		_, err = s.w.Write(line)
	}
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.closed = true
		return errGone
	}
	return nil
}

// close makes every later put fail; the writer must not be used after its
// request has ended.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	_ = s.control.SetWriteDeadline(time.Time{}) // of a connection that may be gone
}

// started tells whether a line was written, which fixes the status.
func (s *stream) started() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// calm breaks silences with blank lines until the function it gives is called.
func (s *Server) calm(out *stream) func() {
	quiet := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() {
		tick := time.NewTicker(s.set.KeepAlive)
		defer tick.Stop()
		for {
			select {
			case <-quiet:
				return
			case <-tick.C:
				_ = out.write([]byte(cmp.Or(out.silence, "\n"))) // the work ends by itself when nobody reads
			}
		}
	})
	return func() { close(quiet); beat.Wait() }
}

// until is the request's context, which also ends with the server.
func (s *Server) until(r *http.Request) (context.Context, context.CancelFunc) {
	return s.within(r.Context())
}

func (s *Server) within(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	unlink := context.AfterFunc(s.life, cancel)
	return ctx, func() { unlink(); cancel() }
}

// outlive runs work with a context that ends with the server, not with the
// request, and waits for it. It is not whole when the request ended first;
// work goes on then and its outcome is logged.
func (s *Server) outlive(r *http.Request, work func(ctx context.Context) error) (whole bool, err error) {
	done := make(chan error, 1)
	s.work.Go(func() {
		ctx, cancel := s.within(context.WithoutCancel(r.Context()))
		defer cancel()
		err := calmly(ctx, work)
		if err != nil && r.Context().Err() != nil {
			s.set.Log.Warn("work failed after its reader had gone", "number", requestID(r), "path", r.URL.Path, "err", err)
		}
		done <- err
	})
	select {
	case err := <-done:
		return true, err
	case <-r.Context().Done():
		return false, nil
	}
}

// calmly makes a panic an error.
func calmly(ctx context.Context, work func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	return work(ctx)
}

// job is a long piece of work; its image, if any, belongs to the last line.
type job func(ctx context.Context, report Report) (*api.Image, error)

// progress carries out a job that goes on when its reader goes away, and tells
// it line by line.
func (s *Server) progress(w http.ResponseWriter, r *http.Request, j job) error {
	out := newStream(w)
	defer out.close()
	calm := s.calm(out)
	var image *api.Image
	whole, err := s.outlive(r, func(ctx context.Context) (err error) {
		image, err = j(ctx, func(p api.Progress) { _ = out.put(p) }) // the work goes on without a reader
		return err
	})
	calm()
	if !whole {
		return nil
	}
	if err != nil && !out.started() {
		return err
	}
	done := &api.Done{OK: err == nil, Image: image}
	if err != nil {
		done.Problems = s.shown(r, err)
	}
	_ = out.put(api.Progress{Done: done}) // who has gone cannot be told
	return nil
}
