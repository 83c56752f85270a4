// Package problem says what went wrong in a form that every edge can show:
// a kind (for exit codes and HTTP statuses), a sentence, and a remedy.
package problem

import (
	"errors"
	"fmt"
	"strings"
)

// Kind sorts problems by what the one who asked can do about them.
// Kinds are part of the API: only append.
type Kind string

// The kinds. An error that has none of them is Internal.
const (
	Internal    Kind = "internal"    // our own mistake; gets a number and is logged whole
	Invalid     Kind = "invalid"     // the input is wrong; nothing was changed
	NotFound    Kind = "not-found"   // no such thing
	Conflict    Kind = "conflict"    // it clashes with what is there
	Denied      Kind = "denied"      // not allowed
	Busy        Kind = "busy"        // try again, someone else is at it
	Unavailable Kind = "unavailable" // something that is needed does not answer
	Failed      Kind = "failed"      // it was tried and did not succeed
)

// Place is where in somebody's file a problem stands. Line and Column count
// from 1; 0 means unknown.
type Place struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String gives file:line:column, as far as known.
func (p Place) String() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d", p.Line)
		if p.Column > 0 {
			s += fmt.Sprintf(":%d", p.Column)
		}
	}
	return strings.TrimPrefix(s, ":")
}

// Problem is an error that a person can act on.
type Problem struct {
	Kind   Kind   `json:"kind"`
	Says   string `json:"says"`             // what and why, one lower-case sentence without a full stop
	Remedy string `json:"remedy,omitempty"` // what to do about it
	Rule   string `json:"rule,omitempty"`   // the guard's rule that refused
	Where  Place  `json:"where,omitzero"`
	Err    error  `json:"-"` // the cause, if any
}

// Error gives the place, the sentence and the cause on one line.
func (p *Problem) Error() string {
	s := p.Says
	if w := p.Where.String(); w != "" {
		s = w + ": " + s
	}
	if p.Err != nil {
		s += ": " + p.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Err }

// Is makes errors.Is(err, &Problem{Kind: k}) ask for the kind alone.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Says == "" && t.Kind == p.Kind
}

// New makes a problem from a format. A %w in it becomes the cause's text.
func New(kind Kind, format string, args ...any) *Problem {
	return &Problem{Kind: kind, Says: fmt.Sprintf(format, args...)}
}

// With returns p with the remedy set.
func (p *Problem) With(remedy string, args ...any) *Problem {
	p.Remedy = fmt.Sprintf(remedy, args...)
	return p
}

// Because returns p with its cause set.
func (p *Problem) Because(err error) *Problem {
	p.Err = err
	return p
}

// At returns p with its place set.
func (p *Problem) At(where Place) *Problem {
	p.Where = where
	return p
}

// Of finds the outermost Problem in err; an error without one becomes an
// Internal problem that carries it. Of(nil) is nil. The text of an error that
// wraps a problem is kept: the context read outermost first is the sentence.
func Of(err error) *Problem {
	if err == nil {
		return nil
	}
	var p *Problem
	if !errors.As(err, &p) {
		return &Problem{Kind: Internal, Says: err.Error(), Err: err}
	}
	if error(p) == err {
		return p
	}
	whole := *p
	whole.Says, whole.Err, whole.Where = err.Error(), nil, Place{}
	return &whole
}

// KindOf is the kind of err; Internal when it has none.
func KindOf(err error) Kind {
	if p := Of(err); p != nil {
		return p.Kind
	}
	return ""
}

// List is several mistakes found in one go.
type List []*Problem

// Error gives one mistake per line.
func (l List) Error() string {
	lines := make([]string, len(l))
	for i, p := range l {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the problems in the list.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, p := range l {
		errs[i] = p
	}
	return errs
}

// AsError is nil for an empty list; an empty List in an error variable is not.
func (l List) AsError() error {
	if len(l) == 0 {
		return nil
	}
	return l
}
