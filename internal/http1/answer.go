package http1

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is what a handler writes to. It is the handler's alone, and nothing of
// it may be used after the handler is done.
type answer struct {
	conn    *conn
	header  http.Header
	head    bool  // the request's method is HEAD
	status  int   // 0 until the header is written
	length  int64 // of the body, below 0 when it is not known
	written int64
	chunked bool
	silent  bool   // there is no body, whatever is written
	last    bool   // nothing comes after it on this connection
	copied  []Line // sent after header
	odd     []Line // of the request's header: those not in the canonical form
	out     []byte // what the client has not got yet
	failed  error
	spent   bool // nobody looks at it, nor at the request, when the handler is done
}

// answerSize is how much of an answer is gathered before it is sent.
const answerSize = 16 << 10

// Header is what WriteHeader will send.
func (a *answer) Header() http.Header { return a.header }

// Copy makes WriteHeader send lines after those of Header, as they are: those
// of a plain answer whose body has that length.
func (a *answer) Copy(lines []Line, length int64) { a.copied, a.length = lines, length }

// Odd are the lines of the request's header whose names are not in the
// canonical form.
func (a *answer) Odd() []Line { return a.odd }

// Spent says that nobody looks at the request and the answer any more when the
// handler is done. Then both, with their headers, are used for the next.
func (a *answer) Spent() { a.spent = true }

// WriteHeader begins the answer. Of statuses below 200 any number may come first.
func (a *answer) WriteHeader(status int) {
	switch {
	case a.status != 0:
		return
	case status < 100 || status > 999 || status == http.StatusSwitchingProtocols:
		panic(fmt.Sprintf("a plain request is not answered by %d", status))
	case status < 200:
		a.begin(status)
		a.lines()
		a.out = append(a.out, "\r\n"...)
		a.Flush()
		return
	}
	a.status = status
	a.frame()
	a.begin(status)
	a.lines()
	dated := a.copy()
	if _, there := a.header["Date"]; !there && !dated {
		a.out = append(append(append(a.out, "Date: "...), a.conn.date()...), "\r\n"...)
	}
	if a.chunked {
		a.out = append(a.out, "Transfer-Encoding: chunked\r\n"...)
	}
	a.out = append(a.out, "\r\n"...)
}

// frame decides how the end of the body is known: RFC 9112, 6.3.
func (a *answer) frame() {
	h := a.header
	delete(h, "Transfer-Encoding")
	said := h["Connection"]
	a.last = len(said) > 0 && said[0] == "close"
	a.silent = a.head
	if a.copied != nil {
		return // it is said there
	}
	switch a.status {
	case http.StatusNotModified:
		delete(h, "Content-Type")
		fallthrough
	case http.StatusNoContent:
		delete(h, "Content-Length")
		a.silent = true
	}
	a.length = -1
	if said := h["Content-Length"]; len(said) > 0 {
		n, err := strconv.ParseInt(said[0], 10, 64)
		if err != nil || n < 0 || len(said) > 1 {
			delete(h, "Content-Length")
		} else {
			a.length = n
		}
	}
	a.chunked = !a.silent && a.length < 0
}

func (a *answer) begin(status int) {
	if a.out == nil {
		a.out = a.conn.server.lend()
	}
	a.out = strconv.AppendInt(append(a.out, "HTTP/1.1 "...), int64(status), 10)
	a.out = append(append(append(a.out, ' '), http.StatusText(status)...), "\r\n"...)
}

// lines writes the header. What is no name is left out, and what would end a
// line is a blank, as in net/http.
func (a *answer) lines() {
	for name, values := range a.header {
		if !token(name) { // as those with http.TrailerPrefix are not
			continue
		}
		for _, v := range values {
			a.line(name, v)
		}
	}
}

// copy writes what is copied, and tells whether a Date is in it.
func (a *answer) copy() (dated bool) {
	for _, l := range a.copied { // which were read as lines: nothing in them ends one
		a.out = append(append(append(append(a.out, cmp.Or(l.As, l.Name)...), ": "...), l.Value...), "\r\n"...)
		dated = dated || l.Name == "Date"
	}
	return dated
}

func (a *answer) line(name, value string) {
	if strings.IndexByte(value, '\r') >= 0 || strings.IndexByte(value, '\n') >= 0 {
		value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	a.out = append(append(append(append(a.out, name...), ": "...), value...), "\r\n"...)
}

// Write sends p, soon: when enough came together, at Flush, or at the end.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	switch {
	case a.failed != nil:
		return 0, a.failed
	case a.silent && !a.head:
		return 0, http.ErrBodyNotAllowed
	case a.length >= 0 && a.written+int64(len(p)) > a.length:
		return 0, http.ErrContentLength
	case len(p) == 0:
		return 0, nil
	}
	a.written += int64(len(p))
	if a.silent {
		return len(p), nil
	}
	if a.chunked {
		a.out = append(strconv.AppendInt(a.out, int64(len(p)), 16), "\r\n"...)
	}
	if len(a.out)+len(p) <= answerSize-2 {
		a.out = append(a.out, p...)
	} else {
		a.send(p)
	}
	if a.chunked {
		a.out = append(a.out, "\r\n"...)
	}
	if a.failed != nil {
		return 0, a.failed
	}
	return len(p), nil
}

// ReadFrom sends what comes from r, which for a body of known length on plain
// TCP may go from kernel to kernel. Of other answers it sends nothing.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	to, ok := a.conn.Conn.(io.ReaderFrom)
	if a.send(nil); !ok || a.failed != nil || a.silent || a.chunked {
		return 0, a.failed
	}
	n, err := to.ReadFrom(r)
	if a.written += n; err != nil {
		a.failed = err
	}
	return n, err
}

// send sends what was gathered, and p behind it.
func (a *answer) send(p []byte) {
	if a.failed != nil {
		return
	}
	var err error
	switch {
	case len(p) == 0 || len(a.out) == 0:
		if len(p) == 0 {
			p = a.out
		}
		if len(p) > 0 {
			_, err = a.conn.Conn.Write(p)
		}
	default:
		both := net.Buffers{a.out, p}
		_, err = both.WriteTo(a.conn.Conn)
	}
	a.out, a.failed = a.out[:0], err
}

// FlushError sends what was written so far.
func (a *answer) FlushError() error {
	if a.status == 0 && len(a.out) == 0 {
		a.WriteHeader(http.StatusOK)
	}
	a.send(nil)
	return a.failed
}

// Flush is FlushError for whoever does not ask.
func (a *answer) Flush() { _ = a.FlushError() } // Write says it again

// EnableFullDuplex is how it is anyway: the body came with the request.
func (a *answer) EnableFullDuplex() error { return nil }

// SetReadDeadline does nothing, for the same reason.
func (a *answer) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline bounds how long the client may take.
func (a *answer) SetWriteDeadline(t time.Time) error { return a.conn.Conn.SetWriteDeadline(t) }

// end sends the rest. It fails when the answer is not whole.
func (a *answer) end() error {
	if a.status == 0 {
		a.header.Set("Content-Length", "0")
		a.WriteHeader(http.StatusOK)
	}
	if a.chunked {
		a.out = append(a.out, "0\r\n"...)
		a.trailer()
		a.out = append(a.out, "\r\n"...)
	}
	a.send(nil)
	if a.failed == nil && !a.silent && a.length >= 0 && a.written != a.length {
		return io.ErrUnexpectedEOF
	}
	return a.failed
}

// trailer writes those that were announced, and those that were not.
func (a *answer) trailer() {
	for _, names := range a.header["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			for _, v := range a.header[name] {
				a.line(name, v)
			}
		}
	}
	for name, values := range a.header {
		if name, late := strings.CutPrefix(name, http.TrailerPrefix); late && token(name) {
			for _, v := range values {
				a.line(name, v)
			}
		}
	}
}
