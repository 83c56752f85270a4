package http1

import (
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// methods are those of plain requests.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// plain reads one request from the beginning of b and tells how much of
// b it is. It gives 0 for whatever is not the plain, frequent kind: that is not
// refused, but left to net/http. What it takes has one meaning only, and the
// one that net/http would find, too; FuzzPlainIsWhatNetHTTPUnderstands compares.
//
// Plain is a request that is in b as a whole: RFC 9112 in its narrowest form,
// with a path for a target, one Host, a body whose length is said at most once,
// and nothing that changes how the connection goes on.
func (t *turn) plain(b []byte) (size int) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	line, rest, _ := strings.Cut(string(b[:end+2]), "\r\n") // the last header's line has its end
	if !t.firstLine(line) {
		return 0
	}
	length, ok := t.fields(rest)
	size = end + 4 + length
	if !ok || size > len(b) {
		return 0
	}
	r := &t.request
	if r.Body = http.NoBody; length > 0 {
		r.Body = &body{bytes.Clone(b[end+4 : size])} // whoever sends it may outlive the answer
	}
	r.ContentLength = int64(length)
	return size
}

// body is one that came as a whole. Like net/http's it says with the last
// bytes that they are the last.
type body struct{ rest []byte }

// Read reads on.
func (b *body) Read(p []byte) (n int, err error) {
	n = copy(p, b.rest)
	if b.rest = b.rest[n:]; len(b.rest) == 0 {
		err = io.EOF
	}
	return n, err
}

// Close does nothing.
func (b *body) Close() error { return nil }

func (t *turn) firstLine(line string) bool {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if version != "HTTP/1.1" || !has(methods[:], method) || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return false
	}
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	u := &t.url
	if path, query, asked := strings.Cut(target, "?"); simple(path) {
		*u = url.URL{Path: path, RawQuery: query, ForceQuery: asked && query == ""}
	} else {
		var err error
		if u, err = url.ParseRequestURI(target); err != nil {
			return false
		}
	}
	r := &t.request
	r.Method, r.URL, r.RequestURI = method, u, target
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	return true
}

// simple tells whether a path means what it says: nothing is to be decoded.
func simple(path string) bool {
	for i := range len(path) {
		if c := path[i]; !(c >= 'a' && c <= 'z' || c >= '-' && c <= '9' || c >= 'A' && c <= 'Z' || c == '_') { // "./" are between
			return false
		}
	}
	return true
}

func has(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// fields fills in the host and the header from lines, and gives the body's length.
func (t *turn) fields(lines string) (length int, ok bool) {
	r, n, said := &t.request, strings.Count(lines, "\n"), false
	if r.Header = t.header; r.Header == nil {
		r.Header = make(http.Header, n)
		t.header = r.Header
	}
	values := t.values[:0]
	if cap(values) < n { // it must not move
		values = make([]string, 0, n)
		t.values = values
	}
	for lines != "" {
		l, rest, ok := field(lines)
		if !ok {
			return 0, false
		}
		lines = rest
		name, value := l.Name, l.Value
		if l.As != "" {
			t.answer.odd = append(t.answer.odd, l)
		}
		switch name {
		case "Host":
			if r.Host != "" || !PlainHost(value) {
				return 0, false
			}
			r.Host = value
			continue
		case "Content-Length":
			if length, ok = number(value); !ok || said {
				return 0, false
			}
			said = true
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return 0, false
			}
		case "Transfer-Encoding", "Trailer", "Te", "Upgrade", "Expect", "Pragma", "Http2-Settings":
			return 0, false
		}
		if before, there := r.Header[name]; there {
			r.Header[name] = append(before, value)
			continue
		}
		values = append(values, value)
		r.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return length, r.Host != ""
}

// field reads the first line of lines: RFC 9112, 5, without folding, and without
// bytes that are not ASCII.
func field(lines string) (l Line, rest string, ok bool) {
	colon, canonical, first := 0, true, true
	for ; colon < len(lines) && inToken(lines[colon]); colon++ {
		c := lines[colon]
		if first && c >= 'a' && c <= 'z' || !first && c >= 'A' && c <= 'Z' {
			canonical = false
		}
		first = c == '-'
	}
	if colon == 0 || colon == len(lines) || lines[colon] != ':' {
		return Line{}, "", false
	}
	from := colon + 1
	for from < len(lines) && blank(lines[from]) {
		from++
	}
	end := from
	for end < len(lines) && (lines[end]-' ' < 0x7f-' ' || lines[end] == '\t') { // bytes: what is below ' ' is large
		end++
	}
	if !strings.HasPrefix(lines[end:], "\r\n") {
		return Line{}, "", false
	}
	rest = lines[end+2:]
	for end > from && blank(lines[end-1]) {
		end--
	}
	l = Line{Name: lines[:colon], Value: lines[from:end]}
	if !canonical {
		l.Name, l.As = textproto.CanonicalMIMEHeaderKey(l.Name), l.Name
	}
	return l, rest, true
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// token tells whether s is one: RFC 9110, 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		if !inToken(s[i]) {
			return false
		}
	}
	return s != ""
}

// inToken tells whether a token may have c. There is one bit for each character.
func inToken(c byte) bool {
	const low = (1<<10-1)<<'0' | 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.'
	const high = (1<<26-1)<<('a'-64) | (1<<26-1)<<('A'-64) | 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64)
	return uint64(1)<<c&low|uint64(1)<<(c-64)&high != 0 // a shift of 64 and more gives 0
}

// PlainHost tells whether h is a host, perhaps with a port, in which nothing
// ends a header's value or begins another one.
func PlainHost(h string) bool {
	for i := range len(h) {
		switch c := h[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte(".-_:[]", c) >= 0:
		default:
			return false
		}
	}
	return h != ""
}

// number reads a length in digits and nothing else; what is longer than any
// buffer is no plain one.
func number(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, s != "" && len(s) <= 5
}

// Begins tells whether b is how a request may begin, as far as it goes; it is
// for who expects something else.
func Begins(b []byte) bool {
	for _, m := range methods {
		if n := min(len(b), len(m)+1); n > 0 && string(b[:n]) == (m + " ")[:n] {
			return true
		}
	}
	return false
}
