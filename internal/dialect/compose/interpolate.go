package compose

import (
	"fmt"
	"strings"
)

// variables are what ${NAME} may stand for. The library's own interpolation
// writes to the standard error stream and knows no lines, so it is done here,
// by the rules of the Compose Specification, "Interpolation".
type variables map[string]string

// expansion is one text being interpolated.
type expansion struct {
	vars  variables
	unset []string // names that nothing was known of
}

// expand interpolates s and tells which names stand for nothing.
func (v variables) expand(s string) (result string, unset []string, err error) {
	if !strings.Contains(s, "$") {
		return s, nil, nil
	}
	e := &expansion{vars: v}
	result, err = e.text(s, 0)
	return result, e.unset, err
}

// text expands all of s. Only maxDepth defaults within defaults are followed.
func (e *expansion) text(s string, depth int) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		value, after, err := e.one(rest, depth)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		s = after
	}
}

// one expands what follows a dollar sign and gives the rest.
func (e *expansion) one(s string, depth int) (value, rest string, err error) {
	if strings.HasPrefix(s, "$") {
		return "$", s[1:], nil
	}
	if n := nameLength(s); n > 0 {
		return e.plain(s[:n]), s[n:], nil
	}
	if !strings.HasPrefix(s, "{") {
		return "$", s, nil
	}
	end := closing(s)
	if end < 0 || depth > maxDepth {
		return "", "", fmt.Errorf("a ${ has no } that closes it")
	}
	value, err = e.braced(s[1:end], depth)
	return value, s[end+1:], err
}

// nameLength is the length of the variable's name that s begins with.
func nameLength(s string) int {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

// closing finds the brace that closes the one s begins with; -1 when none does.
func closing(s string) int {
	open := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			open--
		}
		if open == 0 {
			return i
		}
	}
	return -1
}

func (e *expansion) plain(name string) string {
	value, ok := e.vars[name]
	if !ok {
		e.unset = append(e.unset, name)
	}
	return value
}

// braced expands the inside of ${…}.
func (e *expansion) braced(s string, depth int) (string, error) {
	n := nameLength(s)
	name, how := s[:n], s[n:]
	if name == "" {
		return "", fmt.Errorf("${%s} names no variable", s)
	}
	if how == "" {
		return e.plain(name), nil
	}
	value, set := e.vars[name]
	if strings.HasPrefix(how, ":") {
		how, set = how[1:], set && value != ""
	}
	if how == "" || !strings.Contains("-+?", how[:1]) {
		return "", fmt.Errorf("${%s} has neither :- nor :? nor :+ behind the name", s)
	}
	word := how[1:]
	switch {
	case how[0] == '-' && set, how[0] == '?' && set:
		return value, nil
	case how[0] == '-', how[0] == '+' && set:
		return e.text(word, depth+1)
	case how[0] == '+':
		return "", nil
	}
	why, err := e.text(word, depth+1)
	if err != nil || why == "" {
		why = "it is required"
	}
	return "", fmt.Errorf("variable %s is not set: %s", name, why)
}
