package geard

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sort"
	"unicode/utf8"

	"havre/internal/dialect/source"
	"havre/internal/problem"
)

// maxDepth is far more than a deployment needs (five), and keeps a hostile
// file from using up the stack.
const maxDepth = 50

// kind is what a JSON value is, in words for messages.
type kind string

const (
	object  kind = "an object"
	array   kind = "a list"
	text    kind = "a string"
	number  kind = "a number"
	boolean kind = "true or false"
	null    kind = "null"
)

// node is a JSON value and where it stands.
type node struct {
	kind    kind
	text    string // of a string or number
	flag    bool
	at      problem.Place
	members []member
	items   []*node
}

type member struct {
	key   string
	at    problem.Place
	value *node
}

// scanner reads JSON token by token: encoding/json gives values or places, not both.
type scanner struct {
	source.Text
	decoder *json.Decoder
	lines   []int // offsets at which lines begin
}

// parse reads a whole file into nodes.
// Errors: Invalid, with its place, when it is not JSON.
func parse(t source.Text) (*node, *problem.Problem) {
	s := &scanner{Text: t, decoder: json.NewDecoder(bytes.NewReader(t.Content)), lines: []int{0}}
	s.decoder.UseNumber()
	for i, b := range t.Content {
		if b == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	root, err := s.value(0)
	if err == nil {
		if _, more := s.decoder.Token(); more == nil {
			err = errors.New("something follows after its end")
		} else if !errors.Is(more, io.EOF) {
			err = more
		}
	}
	if err != nil {
		return nil, s.wrong(err)
	}
	return root, nil
}

func (s *scanner) wrong(err error) *problem.Problem {
	offset := int(s.decoder.InputOffset())
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		offset = int(syntax.Offset) - 1
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err, offset = errors.New("it ends too early"), len(s.Content)
	}
	return problem.New(problem.Invalid, "this is not JSON: %v", err).
		With("look for a missing quote, comma or bracket at or just before this place").
		At(s.place(offset))
}

// place turns an offset into a line and a column in characters.
func (s *scanner) place(offset int) problem.Place {
	offset = max(0, min(offset, len(s.Content)))
	line := sort.SearchInts(s.lines, offset+1)
	begin := s.lines[line-1]
	return problem.Place{File: s.Name, Line: line, Column: utf8.RuneCount(s.Content[begin:offset]) + 1}
}

// next is where the next token begins.
func (s *scanner) next() problem.Place {
	i := int(s.decoder.InputOffset())
	for i < len(s.Content) && bytes.IndexByte([]byte(" \t\r\n,:"), s.Content[i]) >= 0 {
		i++
	}
	return s.place(i)
}

func (s *scanner) value(depth int) (*node, error) {
	n := &node{at: s.next()}
	if depth > maxDepth {
		return nil, errors.New("too many brackets within brackets")
	}
	token, err := s.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			n.kind = object
			return n, s.object(n, depth)
		}
		n.kind = array
		return n, s.array(n, depth)
	case string:
		n.kind, n.text = text, v
	case json.Number:
		n.kind, n.text = number, v.String()
	case bool:
		n.kind, n.flag = boolean, v
	default:
		n.kind = null
	}
	return n, nil
}

func (s *scanner) object(n *node, depth int) error {
	for s.decoder.More() {
		m := member{at: s.next()}
		token, err := s.decoder.Token()
		if err != nil {
			return err
		}
		m.key, _ = token.(string) // the decoder lets nothing else through
		if m.value, err = s.value(depth + 1); err != nil {
			return err
		}
		n.members = append(n.members, m)
	}
	_, err := s.decoder.Token()
	return err
}

func (s *scanner) array(n *node, depth int) error {
	for s.decoder.More() {
		item, err := s.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := s.decoder.Token()
	return err
}
