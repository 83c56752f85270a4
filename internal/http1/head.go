package http1

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strings"
)

// Line is one of a header, with its name in the canonical form; As is how it was
// written where that is another.
type Line struct{ Name, Value, As string }

// Odd are the names in heads that were not written in the canonical form, each
// once and without a value: heads is what was read of a connection, with one
// head in it or more, and perhaps bodies. Only names of header count.
func Odd(heads []byte, header http.Header) (odd []Line) {
	for line := range bytes.Lines(heads) {
		name, _, found := bytes.Cut(line, []byte{':'})
		if !found || len(name) == 0 || len(name) > maxName {
			continue
		}
		canonical := textproto.CanonicalMIMEHeaderKey(string(name))
		if _, there := header[canonical]; there && canonical != string(name) && Spelt(odd, canonical) == canonical {
			odd = append(odd, Line{Name: canonical, As: string(name)})
		}
	}
	return odd
}

// maxName is how long a name is at most that somebody's app could look for.
const maxName = 256

// Spelt is a canonical name as it was written.
func Spelt(odd []Line, name string) string {
	for i := range odd {
		if odd[i].Name == name && odd[i].As != "" {
			return odd[i].As
		}
	}
	return name
}

// Head is that of a plain answer: one with a body of known length, on a
// connection that stays. The zero value is ready for Read.
type Head struct {
	Status    int
	Length    int64  // of the body
	KeepAlive string // the header of this name
	Lines     []Line // but for Connection and Keep-Alive
}

// Read reads a head from the beginning of b, which is the answer to a request
// other than HEAD, and tells how much of b it is: 0 for whatever is not plain,
// which is not refused, but left to net/http. Nothing of b is kept.
func (h *Head) Read(b []byte) (size int) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	line, rest, _ := strings.Cut(string(b[:end+2]), "\r\n") // the last header's line has its end
	if !h.status(line) {
		return 0
	}
	said := false
	for rest != "" {
		l, more, ok := field(rest)
		if !ok {
			return 0
		}
		rest = more
		switch name, value := l.Name, l.Value; name {
		case "Content-Length":
			if h.Length, ok = length(value); !ok || said {
				return 0
			}
			said = true
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return 0
			}
			continue
		case "Keep-Alive":
			if h.KeepAlive != "" || value == "" {
				return 0
			}
			h.KeepAlive = value
			continue
		case "Transfer-Encoding", "Trailer", "Upgrade", "Pragma":
			return 0
		}
		h.Lines = append(h.Lines, l)
	}
	if !said {
		return 0
	}
	return end + 4
}

// status reads the first line, of an answer that has a body.
func (h *Head) status(line string) bool {
	code, said := strings.CutPrefix(line, "HTTP/1.1 ")
	if !said || len(code) < 4 || code[3] != ' ' {
		return false
	}
	for i := range len(code) {
		if code[i] < ' ' || code[i] == 0x7f { // a lone LF is an end for net/http
			return false
		}
	}
	n, ok := number(code[:3])
	if !ok || n < http.StatusOK || n > 599 || n == http.StatusNoContent || n == http.StatusNotModified {
		return false
	}
	h.Status = n
	return true
}

// length reads one in digits and nothing else.
func length(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, s != "" && len(s) <= 18 // more digits might not fit
}

// Header is the lines as net/http has them.
func (h *Head) Header() http.Header {
	header := make(http.Header, len(h.Lines))
	for _, l := range h.Lines {
		header[l.Name] = append(header[l.Name], l.Value)
	}
	return header
}
