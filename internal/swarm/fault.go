package swarm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"havre/internal/problem"
)

// refusal is how the guard writes a refusal. Docker's clients keep nothing of
// an answer but its message, so the rule has to be read from it.
var refusal = regexp.MustCompile(`(?s)^refused: (.*) \[rule ([^\]]+)\]$`)

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
