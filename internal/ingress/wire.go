package ingress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"havre/internal/http1"
)

// What a container may take of us, and how long a connection to it is kept.
const (
	maxAnswerHeader = 256 << 10
	maxEarlyAnswers = 8
	maxIdle         = 256 // connections to one container's port
	keptFor         = time.Minute
	continueTime    = time.Second // for 100 Continue, RFC 9110, 10.1.1
)

// wire speaks HTTP/1.1 with one port of one container. What it does that
// net/http's transport does not: a connection that knows its client is that
// client's alone; it has no goroutines of its own; and its connections are its
// container's alone, by construction. It leaves out what an ingress does not
// need: proxies, TLS, HTTP/2, redirects, compression.
type wire struct {
	dial  func(context.Context) (*guest, error)
	lent  *buffers
	greet bool // with the PROXY protocol; then a connection is one client's, and not kept

	mu      sync.Mutex           // guards what follows
	idle    []*strand            // the last used one last
	own     map[*visitor]*strand // on which a client logged in: RFC 4559, 6
	retired bool
}

// What an app may not answer.
var (
	errEarly  = errors.New("early answers that are too many, or not for this request")
	errStatus = errors.New("the answer's status is none")
)

// unreached wraps an error before which nothing of the request was sent.
type unreached struct{ error }

// Unwrap gives the reason.
func (u unreached) Unwrap() error { return u.error }

// RoundTrip sends r, and once more by a new connection where a kept one ended
// under it: when nothing of an answer came, and twice is as good as once (RFC
// 9110, 9.2.2; RFC 9112, 9.3.1). Its error is unreached when nothing was sent.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	v := visitOf(r)
	for fresh := false; ; {
		s, err := w.get(r, v, fresh)
		if err != nil {
			return nil, unreached{err}
		}
		s.login = s.login || logsIn(r.Header["Authorization"])
		kept := s.kept
		e := v.exchangeBy(w, s)
		e.stop = s.follow(r, v)
		answer, err := e.run(r)
		if err == nil {
			return answer, nil
		}
		e.finish(false)
		switch {
		case err == errNotQuiet:
		case kept && !fresh && !s.heard && hungUp(err) && idempotent(r.Method) && s.whole:
			fresh, r = true, s.again(r)
		default:
			return nil, err
		}
	}
}

// hungUp tells whether an error is that the other side closed the connection.
func hungUp(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// idempotent tells whether a request does as much when it is sent twice: RFC
// 9110, 9.2.2, and the registry of methods.
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH", "QUERY":
		return true
	}
	return false
}

// logsIn tells whether credentials are of a kind that stays with the connection.
func logsIn(credentials []string) bool {
	for _, c := range credentials {
		switch scheme, _, _ := strings.Cut(strings.ToLower(c), " "); scheme {
		case "ntlm", "negotiate", "nego2", "kerberos":
			return true
		}
	}
	return false
}

// get gives a connection: the client's own where there is one, a kept one unless
// it is to be fresh, or a new one.
func (w *wire) get(r *http.Request, v *visit, fresh bool) (*strand, error) {
	for !w.greet && !fresh {
		s := w.take(v)
		if s == nil {
			break
		}
		if v.began.Before(s.until) {
			s.kept, s.heard, s.whole, s.told = true, false, false, s.told[:0]
			return s, nil
		}
		s.Close()
	}
	c, err := w.dial(r.Context())
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	s := &strand{guest: c, raw: raw, left: -1}
	s.looks, s.asks = s.look, s.ask
	if w.greet {
		s.head = append(s.head, greeting(v.ends())...)
	}
	return s, nil
}

// take gives a kept connection, nil when there is none.
func (w *wire) take(v *visit) *strand {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v.party != nil && v.party.of.login != nil {
		if s := w.own[v.party.of]; s != nil {
			delete(w.own, v.party.of)
			return s
		}
	}
	n := len(w.idle)
	if n == 0 {
		return nil
	}
	s := w.idle[n-1]
	w.idle[n-1], w.idle = nil, w.idle[:n-1]
	return s
}

func (w *wire) put(s *strand, v *visit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.retired || w.greet || len(w.idle) >= maxIdle || s.login && (v.party == nil || v.http2 || len(w.own) >= maxIdle) {
		s.Close()
		return
	}
	if s.head = s.head[:0]; cap(s.head) > len(s.room) {
		s.head = nil
	}
	if cap(s.told) > len(s.room) {
		s.told = nil
	}
	if !s.login {
		w.idle = append(w.idle, s)
		return
	}
	if w.own == nil {
		w.own = map[*visitor]*strand{}
	}
	v.party.of.login, w.own[v.party.of] = v.backend, s // a client of HTTP/1 has one request at a time
}

// CloseIdleConnections closes the kept ones that nobody uses.
func (w *wire) CloseIdleConnections() { w.sweep(time.Time{}) }

// sweep closes the kept connections that are too old at now, or all of them
// when now is zero.
func (w *wire) sweep(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var stay []*strand
	for _, s := range w.idle {
		if now.IsZero() || now.After(s.until) {
			s.Close()
			continue
		}
		stay = append(stay, s)
	}
	w.idle = stay
	for of, s := range w.own {
		if now.IsZero() || now.After(s.until) || of.gone.Load() {
			s.Close()
			delete(w.own, of)
		}
	}
}

// retire keeps no connection from now on.
func (w *wire) retire() {
	w.mu.Lock()
	w.retired = true
	w.mu.Unlock()
	w.CloseIdleConnections()
}

// follow gives s up when r's client leaves, until stop is called, which is
// false when it was given up.
func (s *strand) follow(r *http.Request, v *visit) (stop func() bool) {
	if v.copies != nil {
		v.party.asks(v.asked.Context(), s)
		return v.party.hear
	}
	return context.AfterFunc(r.Context(), s.cut)
}

// cut ends what goes on.
func (s *strand) cut() { s.SetDeadline(time.Unix(1, 0)) }

// exchange is one request and its answer on a strand.
type exchange struct {
	wire   *wire
	strand *strand
	visit  *visit
	stop   func() bool
	sent   chan error // of the body; nil when there is none
	ended  bool
	answer http.Response
	head   http1.Head
	lines  [12]http1.Line // head's
	rest   measured
	body   answerBody
}

// exchangeBy begins one. Visits of our loop have a place for it: they
// have no goroutine that could still look at it when they are over.
func (v *visit) exchangeBy(w *wire, s *strand) *exchange {
	if v.copies == nil {
		return &exchange{wire: w, strand: s, visit: v}
	}
	v.exchange = exchange{wire: w, strand: s, visit: v}
	return &v.exchange
}

func (e *exchange) run(r *http.Request) (*http.Response, error) {
	s := e.strand
	if err := s.writeHead(r, e.visit.odd); err != nil {
		return nil, err
	}
	var proceed chan bool // nil where the body need not wait for a word
	if err := s.takeBody(r, e.visit.copies != nil); err != nil {
		return nil, err
	}
	if s.whole {
		if err := s.send(); err != nil {
			return nil, err
		}
		if answer := e.plain(r); answer != nil {
			return answer, nil
		}
	} else {
		if s.kept && !s.quiet() {
			return nil, errNotQuiet
		}
		if s.out == nil {
			s.out = bufio.NewWriterSize(s.guest, 4<<10)
		}
		s.out.Write(s.head) // an error stays until Flush
		if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
			proceed = make(chan bool, 1)
			if err := s.out.Flush(); err != nil {
				return nil, err
			}
		}
		e.sent = make(chan error, 1)
		go func() { e.sent <- s.writeBody(r, e.wire.lent, proceed) }() // finish asks for it; the connection's end is its end
	}
	if s.in == nil {
		s.in = bufio.NewReaderSize(s, 4<<10)
	}
	for range maxEarlyAnswers {
		s.left = maxAnswerHeader
		answer, err := http.ReadResponse(s.in, r)
		s.left = -1
		if err == nil {
			e.visit.back = http1.Odd(s.told, answer.Header)
		}
		switch {
		case err != nil:
			return nil, e.told(err)
		case answer.StatusCode < 100:
			return nil, errStatus
		case answer.StatusCode == http.StatusSwitchingProtocols && !switched(r, answer):
			return nil, errors.New("the answer switches to what nobody asked for")
		case answer.StatusCode == http.StatusSwitchingProtocols:
			e.stop()
			e.ended = true
			answer.Body = &upgraded{s}
			return answer, nil
		case answer.StatusCode >= 200:
			say(proceed, false)
			e.deliver(answer, answer.Header.Get("Keep-Alive"))
			return answer, nil
		case answer.StatusCode == http.StatusContinue:
			say(proceed, true)
		default:
			e.visit.early(answer.StatusCode, answer.Header)
		}
	}
	return nil, errEarly
}

// plain gives the answer that was read ahead, if it is plain.
func (e *exchange) plain(r *http.Request) *http.Response {
	s, head := e.strand, &e.head
	head.Lines = e.lines[:0]
	if r.Method == http.MethodHead {
		return nil
	}
	size := head.Read(s.ahead)
	if size == 0 {
		return nil
	}
	s.ahead = s.ahead[size:]
	e.answer = http.Response{StatusCode: head.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: head.Length, Body: http.NoBody, Request: r}
	v := e.visit
	if v.back = head.Lines; v.copies != nil {
		v.lines = head
	} else {
		e.answer.Header = head.Header()
	}
	if head.Length > 0 {
		e.rest = measured{s, head.Length}
		e.answer.Body = &e.rest
	}
	e.deliver(&e.answer, head.KeepAlive)
	return &e.answer
}

// measured is a body of which so much comes yet.
type measured struct {
	from *strand
	rest int64
}

// Read reads on; with the last bytes it says so.
func (m *measured) Read(p []byte) (int, error) {
	n, err := m.from.Read(p[:min(int64(len(p)), m.rest)])
	switch m.rest -= int64(n); {
	case m.rest == 0:
		err = io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close does nothing: the exchange ends with the body around it.
func (m *measured) Close() error { return nil }

func switched(r *http.Request, answer *http.Response) bool {
	to := r.Header.Get("Upgrade")
	return to != "" && strings.EqualFold(to, answer.Header.Get("Upgrade"))
}

// told prefers the reason why the body could not be sent.
func (e *exchange) told(err error) error {
	select {
	case sent := <-e.sent:
		e.sent <- sent
		return errors.Join(sent, err)
	default:
		return err
	}
}

// say tells the body what became of its waiting; the first word counts.
func say(proceed chan<- bool, wanted bool) {
	select {
	case proceed <- wanted:
	default:
	}
}

// deliver makes the answer's body give the connection back at its end.
func (e *exchange) deliver(answer *http.Response, keep string) {
	reuse := !answer.Close
	e.strand.until = time.Now().Add(keptFor)
	if _, after, ok := strings.Cut(keep, "timeout="); ok {
		n, _, _ := strings.Cut(after, ",")
		if seconds, err := strconv.Atoi(strings.TrimSpace(n)); err == nil && seconds < 60 {
			e.strand.until = time.Now().Add(time.Duration(seconds)*time.Second - time.Second/2)
		}
	}
	if answer.Body == http.NoBody {
		e.finish(reuse)
		return
	}
	e.body = answerBody{answer.Body, e, reuse}
	answer.Body = &e.body
}

// finish gives the connection back or closes it. Only the first call counts.
func (e *exchange) finish(reuse bool) {
	if e.ended {
		return
	}
	e.ended = true
	if e.sent != nil {
		select {
		case err := <-e.sent:
			reuse = reuse && err == nil
		default: // the body is still on its way
			reuse = false
		}
	}
	if !e.stop() || !reuse || e.strand.pending() > 0 { // a word too many: nobody asked for it
		e.strand.Close()
		return
	}
	e.wire.put(e.strand, e.visit)
}

// answerBody is the body of an answer.
type answerBody struct {
	from  io.ReadCloser
	of    *exchange
	reuse bool
}

// Read reads; at the end the connection is free for the next request.
func (b *answerBody) Read(p []byte) (int, error) {
	if b.of.ended {
		return 0, io.EOF
	}
	n, err := b.from.Read(p)
	if err != nil {
		b.of.finish(b.reuse && err == io.EOF)
	}
	return n, err
}

// more tells whether something of the rest has come already.
func (b *answerBody) more() bool { return !b.of.ended && b.of.strand.pending() > 0 }

// Close ends the exchange; a body that was not read whole takes its
// connection with it.
func (b *answerBody) Close() error {
	b.of.finish(false)
	return nil
}

// upgraded is a connection that speaks something else from now on.
type upgraded struct{ *strand }

// Read reads what was buffered first.
func (u *upgraded) Read(p []byte) (int, error) { return u.in.Read(p) }

// WriteTo passes on what was buffered first, too: that of the connection below
// would leave it out.
func (u *upgraded) WriteTo(to io.Writer) (int64, error) {
	first, _ := u.in.Peek(u.in.Buffered()) // it is there
	n, err := to.Write(first)
	if err != nil {
		return int64(n), err
	}
	more, err := u.TCPConn.WriteTo(to)
	return int64(n) + more, err
}

// CloseWrite says that nothing more comes.
func (u *upgraded) CloseWrite() error { return u.TCPConn.CloseWrite() }

// writeBody sends the body, when the other side wants it.
func (s *strand) writeBody(r *http.Request, lent *buffers, proceed <-chan bool) error {
	defer r.Body.Close()
	if proceed != nil {
		late := time.NewTimer(continueTime)
		defer late.Stop()
		select {
		case wanted := <-proceed:
			if !wanted {
				return errors.New("the body was not wanted")
			}
		case <-late.C:
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	buffer := lent.Get()
	defer lent.Put(buffer)
	if r.ContentLength >= 0 {
		n, err := io.CopyBuffer(flushing{s.out, s.out}, io.LimitReader(r.Body, r.ContentLength), buffer)
		if err == nil && n != r.ContentLength {
			err = io.ErrUnexpectedEOF
		}
		return s.sentOrCut(err)
	}
	chunks := httputil.NewChunkedWriter(s.out)
	_, err := io.CopyBuffer(flushing{chunks, s.out}, struct{ io.Reader }{r.Body}, buffer)
	if err == nil {
		err = chunks.Close()
	}
	if err == nil {
		for name, values := range r.Trailer {
			for _, v := range values {
				fmt.Fprintf(s.out, "%s: %s\r\n", name, strings.NewReplacer("\r", " ", "\n", " ").Replace(v))
			}
		}
		_, err = s.out.WriteString("\r\n")
	}
	return s.sentOrCut(err)
}

// sentOrCut flushes a whole body. After half a one the connection is worth
// nothing: the app must not wait for the rest, nor take what it has for all. But
// where the app takes no more, it may have answered why.
func (s *strand) sentOrCut(err error) error {
	if err == nil {
		return s.out.Flush()
	}
	if _, refused := s.out.Write(nil); refused == nil {
		reset(s.TCPConn)
	}
	return err
}

// flushing passes on at once what it gets: a slow body must not wait in a buffer.
type flushing struct {
	io.Writer
	out *bufio.Writer
}

// Write writes p through.
func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.out.Flush()
	}
	return n, err
}

var _ net.Conn = (*strand)(nil)
