package cli

import (
	"context"
	"errors"

	"havre/internal/api"
	"havre/internal/problem"
)

// coded is an outcome with an exit code of its own.
type coded struct {
	code int
	err  error // what to say; nil is nothing
}

// Error says what there is to say.
func (c coded) Error() string {
	if c.err == nil {
		return ""
	}
	return c.err.Error()
}

// Unwrap gives what there is to say.
func (c coded) Unwrap() error { return c.err }

// The exit codes; scripts rely on them.
const (
	exitFailed      = 1
	exitInput       = 2
	exitRefused     = 3
	exitNotFound    = 4
	exitChanges     = 10  // a plan that changes something, for those who ask by --exit-code
	exitExec        = 125 // an exec that could not run its command
	exitInterrupted = 130 // as shells say it of SIGINT
)

// codeOf makes the exit code of an error. Several problems of one kind are
// like one; several kinds that were found before anything changed are bad input.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	var own coded
	if errors.As(err, &own) {
		return own.code
	}
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	flat := api.Flat(err)
	code := codeOfKind(flat[0].Kind)
	for _, p := range flat[1:] {
		switch next := codeOfKind(p.Kind); {
		case next == code:
		case next == exitFailed || code == exitFailed:
			return exitFailed
		default:
			code = exitInput
		}
	}
	return code
}

func codeOfKind(k problem.Kind) int {
	switch k {
	case problem.Invalid, problem.Conflict:
		return exitInput
	case problem.Denied:
		return exitRefused
	case problem.NotFound:
		return exitNotFound
	}
	return exitFailed
}

// complain says what went wrong: what and why on one line, what to do below.
func (c *console) complain(err error) {
	var own coded
	if err == nil || errors.As(err, &own) && own.err == nil || errors.Is(err, context.Canceled) {
		return
	}
	for _, p := range api.Flat(err) {
		c.note("havre: %s", sentence(p))
		if p.Remedy != "" {
			c.note("  remedy: %s", p.Remedy)
		}
	}
}

// sentence is a problem on one line.
func sentence(p problem.Problem) string {
	s := p.Says
	if p.Where.Line > 0 || p.Where.File != "" && p.Kind != problem.Failed {
		s = p.Where.String() + ": " + s
	}
	if p.Rule != "" {
		s += " [rule " + p.Rule + "]"
	}
	return s
}
