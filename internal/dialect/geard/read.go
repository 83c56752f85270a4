package geard

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

// reader takes typed values out of nodes and collects what is wrong with them.
type reader struct {
	*source.Reading
	said    map[string]bool // features that were warned about
	pending [][]*node       // the links of each service
}

// fields is an object whose keys are known.
type fields struct {
	at problem.Place // of the object
	of map[string]member
}

// get finds a member by its name in Fields; null counts as absent, as in Go.
func (f fields) get(name string) (member, bool) {
	m, ok := f.of[name]
	return m, ok && m.value.kind != null
}

// place is where a member stands, or else its object.
func (f fields) place(name string) problem.Place {
	if m, ok := f.of[name]; ok {
		return m.at
	}
	return f.at
}

// object reads the keys of n that Fields lists below path.
func (r *reader) object(n *node, path string) fields {
	f := fields{at: n.at, of: map[string]member{}}
	if !r.is(n, object, path) {
		return f
	}
	known := children(path)
	seen := map[string]member{}
	for _, m := range n.members {
		if twin, twice := seen[strings.ToLower(m.key)]; twice {
			r.Refuse(m.at, fmt.Sprintf("%q is the same key as %q in line %d: letter case does not matter", m.key, twin.key, twin.at.Line), "keep one of them")
			continue
		}
		seen[strings.ToLower(m.key)] = m
		name, ok := match(m.key, known)
		if !ok {
			r.Warn(m.at, fmt.Sprintf("unknown key %q: geard ignored it too", m.key), remedyForUnknown(m.key, known))
			continue
		}
		f.of[name] = m
	}
	return f
}

func match(key string, known []string) (string, bool) {
	for _, k := range known {
		if strings.EqualFold(k, key) {
			return k, true
		}
	}
	return "", false
}

// is tells whether n is of the kind that is needed at path.
func (r *reader) is(n *node, want kind, path string) bool {
	if n.kind == want {
		return true
	}
	if n.kind != null {
		name := path[strings.LastIndex(path, ".")+1:]
		if list, ok := strings.CutSuffix(name, "[]"); ok {
			name = "what is in " + list
		} else if name == "" {
			name = "the file"
		}
		r.Refuse(n.at, fmt.Sprintf("%s must be %s, not %s", name, want, n.kind), "write "+string(want))
	}
	return false
}

func (r *reader) list(f fields, name string) []*node {
	m, ok := f.get(name)
	if !ok || !r.is(m.value, array, name) {
		return nil
	}
	return m.value.items
}

func (r *reader) text(f fields, name string) string {
	m, ok := f.get(name)
	if !ok || !r.is(m.value, text, name) {
		return ""
	}
	return m.value.text
}

func (r *reader) flag(f fields, name string) bool {
	m, ok := f.get(name)
	return ok && r.is(m.value, boolean, name) && m.value.flag
}

// number reads a whole number of least..most; anything else is a mistake and 0.
func (r *reader) number(f fields, name string, least, most int) int {
	m, ok := f.get(name)
	if !ok || !r.is(m.value, number, name) {
		return 0
	}
	return r.whole(m.value, name, least, most)
}

func (r *reader) whole(n *node, name string, least, most int) int {
	v, err := strconv.Atoi(n.text)
	if err != nil || v < least || v > most {
		r.Refuse(n.at, fmt.Sprintf("%s cannot be %s", name, n.text), fmt.Sprintf("write a whole number from %d to %d", least, most))
		return 0
	}
	return v
}

// port reads a port; least is 0 where none may be given.
func (r *reader) port(f fields, name string, least int) uint16 {
	return uint16(r.number(f, name, least, math.MaxUint16))
}

// later warns once about a feature that comes in a later release.
func (r *reader) later(at problem.Place, feature, says, remedy string) {
	if !r.said[feature] {
		r.Warn(at, says, remedy)
	}
	r.said[feature] = true
}
