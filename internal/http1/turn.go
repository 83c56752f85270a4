package http1

import (
	"net/http"
	"net/url"
)

// turn is a request and its answer. Once its handler says that nobody looks at
// them any more, both are used for another.
type turn struct {
	request http.Request
	url     url.URL     // request's
	header  http.Header // request's; nil at first, then empty between requests
	values  []string    // header's
	answer  answer
}

// keptHeaders is how large a header may be whose room is used again: to empty
// a large one takes longer than to make one.
const keptHeaders = 32

// turn gives one whose request is blank.
func (s *Server) turn(blank *http.Request) *turn {
	t, ok := s.turns.Get().(*turn)
	if !ok {
		t = new(turn)
		t.answer.header = http.Header{}
	}
	t.request = *blank
	return t
}

// forget takes a turn back that nobody looks at any more.
func (s *Server) forget(t *turn) {
	t.request, t.url = http.Request{}, url.URL{}
	if len(t.answer.header) > keptHeaders || cap(t.values) > keptHeaders { // header has no more than there are values
		return
	}
	clear(t.header)
	clear(t.values[:cap(t.values)])
	header, out, odd := t.answer.header, t.answer.out, t.answer.odd
	clear(header)
	clear(odd)
	t.answer = answer{header: header, odd: odd[:0]}
	if cap(out) == answerSize { // it did not grow
		t.answer.out = out[:0]
	}
	s.turns.Put(t)
}
