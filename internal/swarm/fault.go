package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"havre/internal/dockercall"
	"havre/internal/pattern"
	"havre/internal/problem"
)

// refusal is how the guard writes a refusal. Docker's clients keep nothing of
// an answer but its message, so the rule has to be read from it.
var refusal = pattern.New(`(?s)^refused: (.*) \[rule ([^\]]+)\]$`)

const unwell = "see whether Havre and the engine run: havre status"

// explain gives an error its kind. The deed is a verb and a thing.
func explain(err error, deed string, args ...any) error {
	if err == nil {
		return nil
	}
	deed = fmt.Sprintf(deed, args...)
	var p *problem.Problem
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &p) {
		return fmt.Errorf("%s: %w", deed, err)
	}
	words := engineWords(err)
	if m := refusal.FindStringSubmatch(words); m != nil {
		p := problem.New(problem.Denied, "%s: the guard refused: %s", deed, m[1])
		p.Rule = m[2]
		return p
	}
	if client.IsErrConnectionFailed(err) {
		return problem.New(problem.Unavailable, "%s: the guard does not answer", deed).With(unwell).Because(err)
	}
	kind := kindOf(err)
	p = problem.New(kind, "%s: %s", deed, words)
	if kind == problem.Unavailable {
		p.Remedy = unwell
	}
	return p
}

// noNetwork is how the guard and the engine say so.
var noNetwork = pattern.New(`(?i)\bno such network\b|\bnetwork \S+ not found\b`)

// starting is explain for what starts on a network. One that was just removed
// is listed for a moment yet: who saw it there is to look again, not to give up.
func starting(err error, deed string, args ...any) error {
	told := explain(err, deed, args...)
	if problem.KindOf(told) == problem.NotFound && noNetwork.MatchString(engineWords(err)) {
		return problem.New(problem.Unavailable, "%s: its network is being removed", fmt.Sprintf(deed, args...))
	}
	return told
}

func kindOf(err error) problem.Kind {
	switch {
	case errdefs.IsUnavailable(err):
		return problem.Unavailable
	case errdefs.IsNotFound(err):
		return problem.NotFound
	case errdefs.IsConflict(err), errdefs.IsAlreadyExists(err):
		return problem.Conflict
	case errdefs.IsPermissionDenied(err), errdefs.IsUnauthorized(err):
		return problem.Denied
	default:
		return problem.Failed
	}
}

// engineWords is what the engine said, without the client's introduction.
func engineWords(err error) string {
	words := strings.TrimPrefix(strings.TrimSpace(err.Error()), "Error response from daemon: ")
	return strings.TrimPrefix(words, "rpc error: code = Unknown desc = ")
}

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
