package swarm

import (
	"net/http"
	"strconv"

	"havre/internal/dockercall"
)

// OnRefusal names who is told when the guard refuses a call: what was called,
// and why not. It is to be called before the first use.
func (s *Swarm) OnRefusal(tell func(says string)) { s.refused = tell }

// watch looks at answers on their way and tells of refusals. The header says
// it, because a hook of Docker's client must not read the body.
func (s *Swarm) watch(resp *http.Response) {
	why := resp.Header.Get(dockercall.RefusedHeader)
	if s.refused == nil || why == "" {
		return
	}
	if plain, err := strconv.Unquote(why); err == nil {
		why = plain
	}
	s.refused(resp.Request.Method + " " + resp.Request.URL.Path + ": " + why)
}

// watched is a way to the guard whose answers are watched.
type watched struct {
	to    *http.Transport
	watch func(*http.Response)
}

// RoundTrip passes a request on.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.to.RoundTrip(r)
	if err == nil {
		w.watch(resp)
	}
	return resp, err
}

// CloseIdleConnections lets go of them.
func (w watched) CloseIdleConnections() { w.to.CloseIdleConnections() }
