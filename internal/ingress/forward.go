package ingress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"havre/internal/http1"
	"havre/internal/spec"
)

// forward brings r to a container and its answer back.
func (f *front) forward(v *visit, r *http.Request) {
	to := v.upgrade(r)
	answer, err := inTurn{f}.RoundTrip(v.outgoing(r, to))
	if err != nil {
		f.failed(v, r, err)
		return
	}
	defer func() { answer.Body.Close() }() // the one there is at the end: finish may put another round it
	switch {
	case answer.StatusCode == http.StatusSwitchingProtocols && to == "":
		f.failed(v, r, errors.New("the answer switches to what nobody asked for"))
		return
	case answer.StatusCode == http.StatusSwitchingProtocols:
		v.switchTo(answer, r)
		return
	}
	if v.straight(answer) {
		return
	}
	f.finish(answer)
	v.copyHeader(answer)
	h := v.Header()
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // net/http would guess one
	}
	announced := len(answer.Trailer)
	for name := range answer.Trailer {
		h["Trailer"] = append(h["Trailer"], name)
	}
	v.WriteHeader(answer.StatusCode)
	if v.relay(answer) != nil {
		v.breakOff()
	}
	if len(answer.Trailer) > 0 {
		v.FlushError() // else a length is found for a short body, and no trailer sent
	}
	for name, values := range answer.Trailer {
		if len(answer.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = append(h[name], values...)
	}
}

// breakOff ends an answer that is not whole. All that is left is to let the
// client see that, and what came.
func (v *visit) breakOff() {
	v.FlushError()
	panic(http.ErrAbortHandler)
}

// copyHeader takes over the header of an answer, but for what is about the
// connection to the container; names are spelt as the app spelt them, where the
// server does not look for them.
func (v *visit) copyHeader(answer *http.Response) {
	h, own := v.Header(), answer.Header["Connection"]
	for name, values := range answer.Header {
		if hopByHop(name) || lists(own, name) {
			continue
		}
		if as := http1.Spelt(v.back, name); h[name] == nil && !sought(name) {
			name = as
		}
		h[name] = append(h[name], values...)
	}
}

// sought tells whether net/http's server looks for a name in a header.
func sought(name string) bool {
	switch name {
	case "Content-Length", "Content-Type", "Content-Encoding", "Date", "Transfer-Encoding", "Connection", "Trailer":
		return true
	}
	return false
}

// straight passes on an answer whose lines need not be touched. Else it gives
// them as a Header.
func (v *visit) straight(answer *http.Response) bool {
	if v.lines == nil {
		return false
	}
	kind, asIs := "", v.way.front.Sticky != spec.ByCookie
	for _, l := range v.lines.Lines {
		if l.Name == "Content-Type" {
			kind = l.Value
		}
		asIs = asIs && l.Name != "X-Request-Id" && !hopByHop(l.Name)
	}
	if !asIs || !v.way.front.Plain && answer.ContentLength >= worthwhile && shrinks(kind) {
		answer.Header = v.lines.Header()
		return false
	}
	v.copies.Copy(v.lines.Lines, answer.ContentLength)
	v.WriteHeader(answer.StatusCode)
	if v.relay(answer) != nil {
		v.breakOff()
	}
	v.spent = true // its wire gave everything back: see exchange.finish
	return true
}

// relay passes a body on. What the app sends is seen when it sends it.
func (v *visit) relay(answer *http.Response) error {
	buffer := v.front.buffers.Get()
	defer v.front.buffers.Put(buffer)
	own, _ := answer.Body.(*answerBody)
	for {
		n, err := answer.Body.Read(buffer)
		if n > 0 {
			if _, err := v.Write(buffer[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil // the server sends what it has
		case err != nil:
			return err
		case own != nil && !own.more() && answer.ContentLength-v.out > unhurried && v.splices():
			return v.splice(own, answer.ContentLength-v.out)
		case own == nil || !own.more():
			if err := v.FlushError(); err != nil {
				return err
			}
		}
	}
}

// splices tells whether both sides are plain TCP, and the loop is ours.
func (v *visit) splices() bool {
	_, ok := v.ResponseWriter.(io.ReaderFrom)
	return ok && v.asked.TLS == nil && v.asked.ProtoMajor == 1
}

// splice passes the rest of a body from kernel to kernel, in pieces that each
// may take their time.
func (v *visit) splice(body *answerBody, rest int64) error {
	to := v.ResponseWriter.(io.ReaderFrom)
	for rest > 0 {
		v.hurry()
		piece := min(rest, unhurried)
		n, err := to.ReadFrom(io.LimitReader(body.of.strand.TCPConn, piece))
		v.out, rest = v.out+n, rest-n
		if err == nil && n < piece {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	body.of.finish(body.reuse)
	return nil
}

// early passes an answer of status 1xx on, which comes before the real one.
func (v *visit) early(status int, said http.Header) {
	if v.ResponseWriter == nil || status == http.StatusContinue || !v.asked.ProtoAtLeast(1, 1) {
		return // a check; our server's own word; and RFC 9110, 15.2
	}
	if v.asked.Header["Expect"] != nil && !v.http2 {
		return // who reads the body may be saying at this moment that it may come
	}
	h := v.Header()
	var names []string
	for name, values := range said {
		if _, ours := h[name]; !ours && !hopByHop(name) && name != "Content-Length" {
			h[name], names = values, append(names, name)
		}
	}
	if v.http2 {
		// net/http sends this very map, later and beside us where the stream or
		// the connection ends meanwhile, unless it has a length to take out.
		h["Content-Length"], names = []string{"0"}, append(names, "Content-Length")
	}
	v.WriteHeader(status)
	for _, name := range names {
		delete(h, name)
	}
}

// upgrade is what the client would like to speak from now on, "" for HTTP. HTTP/2
// is nothing to ask an app for: requests would come to it that nobody judged; and
// a connection of HTTP/2 to an app is not one client's.
func (v *visit) upgrade(r *http.Request) string {
	to := r.Header.Get("Upgrade")
	if to == "" || !mayUpgrade(to) || !lists(r.Header["Connection"], "upgrade") || r.ProtoMajor != 1 || r.ProtoMinor == 0 || v.way.front.Scheme == spec.H2C {
		return ""
	}
	return to
}

// switchTo lets client and app speak what they agreed on.
func (v *visit) switchTo(answer *http.Response, r *http.Request) {
	inside, ok := answer.Body.(*upgraded)
	if !ok {
		v.front.failed(v, r, errors.New("the answer is not one of a connection"))
		return
	}
	v.copyHeader(answer)
	h := v.Header()
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, answer.Header["Upgrade"]
	c, buffered, err := http.NewResponseController(v.ResponseWriter).Hijack()
	if err != nil {
		v.front.failed(v, r, err)
		return
	}
	defer c.Close()
	client, ok := c.(half)
	if !ok {
		return
	}
	v.status = http.StatusSwitchingProtocols
	stop := context.AfterFunc(r.Context(), func() {
		c.Close()
		inside.Close()
	})
	defer stop()
	buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if h.Write(buffered) != nil {
		return
	}
	buffered.WriteString("\r\n")
	if buffered.Flush() != nil {
		return
	}
	var there sync.WaitGroup
	there.Go(func() { speak(inside, buffered.Reader, c) })
	speak(client, inside, inside)
	there.Wait()
}

// half is a connection of which one direction can end.
type half interface {
	net.Conn
	CloseWrite() error
}

// speak passes on what comes until from has no more to say, and says so to to.
// When one of them breaks off, so does the other.
func speak(to half, said io.Reader, from net.Conn) {
	if _, err := io.Copy(to, said); err != nil || to.CloseWrite() != nil {
		to.Close()
		from.Close()
	}
}

// failed answers when no container did. The reason stays here: it names
// containers and addresses.
func (f *front) failed(v *visit, r *http.Request, err error) {
	if fault := v.body.blamed(); fault != 0 {
		refuse(v, r, fault)
		return
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client left, or we do
	}
	v.door.failed.Add(1)
	f.set.Log.Debug("no answer", "service", v.way.service, "request", v.id, "err", err)
	status := http.StatusBadGateway
	if errors.Is(err, errNoTarget) {
		status = http.StatusServiceUnavailable
	}
	refuse(v, r, status)
}

// outgoing is the request that the container gets for r: without what was
// meant for us alone (RFC 9110, 7.6.1), and marked. It asks to speak upgrade from
// then on, unless that is "". Where the client is, and how it came, is what we
// saw: its own word on that is dropped.
func (v *visit) outgoing(r *http.Request, upgrade string) *http.Request {
	v.sent, v.sentURL = *r, *r.URL
	out := &v.sent
	h := v.fields
	if h == nil {
		h = make(http.Header, len(r.Header)+8)
		v.fields = h
	}
	own := r.Header["Connection"]
	for name, values := range r.Header {
		if !hopByHop(name) && !ours(name) && !lists(own, name) {
			h[name] = values
		}
	}
	if lists(r.Header["Te"], "trailers") {
		h["Te"] = []string{"trailers"}
	}
	if upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
	}
	if n, said := forwards(r); said {
		h["Max-Forwards"] = []string{strconv.Itoa(n - 1)}
	}
	restoreTags(h)
	out.Header, out.URL, out.Close = h, &v.sentURL, false
	v.mark(out, r.URL)
	return out
}

// mark says in a request for a container where its client is, and takes away
// what only we had to know.
func (v *visit) mark(out *http.Request, asked *url.URL) {
	h := out.Header
	v.marks[0] = v.id
	h["X-Request-Id"] = v.marks[0:1:1]
	v.from.tell(h, v.marks[1:])
	if v.way.users != nil {
		h.Del("Authorization") // it was for us
		h.Set("X-Forwarded-User", v.user)
	}
	out.URL.Scheme = "http"
	out.URL.Host = "container"        // which one, its transport knows
	out.URL.RawQuery = asked.RawQuery // as the client wrote it, not as Go would
	if path := v.way.path; v.way.front.Strip && path != "" {
		h["X-Forwarded-Prefix"] = []string{path}
		out.URL.Path = strings.TrimPrefix(asked.Path, path)
		out.URL.RawPath = behind(asked.EscapedPath(), len(path))
	}
}

// behind is what follows so many bytes of a path, however they are escaped.
func behind(raw string, n int) string {
	i := 0
	for ; n > 0 && i < len(raw); n-- {
		if raw[i] == '%' {
			i += 2
		}
		i++
	}
	return raw[min(i, len(raw)):]
}

// hopByHop tells whether a header is about one connection, and goes no further.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// lists tells whether a header's values, each a list with commas, name a word.
func lists(values []string, word string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), word) {
				return true
			}
		}
	}
	return false
}

// mayUpgrade tells whether an app may be asked to speak something else: not
// HTTP/2, in which requests would come to it that nobody judged.
func mayUpgrade(to string) bool {
	to = strings.ToLower(to)
	return !strings.Contains(to, "h2") && !strings.Contains(to, "http")
}

// finish does to an answer what the service asked for.
func (f *front) finish(answer *http.Response) {
	v := visitOf(answer.Request)
	answer.Header.Del("X-Request-Id") // ours stands there already
	if w := v.way; w.front.Sticky == spec.ByCookie && len(w.backends) > 1 && v.backend != nil && cookieOf(answer.Request, w.name) != v.backend.cookie {
		c := http.Cookie{Name: w.name, Value: v.backend.cookie, Path: w.path + "/", HttpOnly: true, Secure: v.from.secure, SameSite: http.SameSiteLaxMode}
		answer.Header.Add("Set-Cookie", c.String())
	}
	if answer.StatusCode == http.StatusNotModified {
		markAgain(answer.Header, v.asked.Header)
	}
	if !v.way.front.Plain {
		f.press.apply(answer)
	}
}

func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// inTurn is the transport to a way's containers. Another one is tried only
// where a container did not take the connection at all: what may have reached
// an app is sent again only where wire says that this does no harm.
type inTurn struct{ front *front }

// RoundTrip sends r to one of the containers of the way that its visit goes,
// or of the one that took its place while the request was held.
func (t inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	v := visitOf(r)
	for held := (holding{began: v.began, most: t.front.set.Hold}); ; {
		answer, err := once(r, v)
		if err == nil || !errors.As(err, new(unreached)) {
			return answer, err
		}
		now, status := t.front.find(v.asked)
		if status != 0 || now == v.way && !held.wait(r.Context(), v.way) {
			return nil, err
		}
		v.along(now)
	}
}

// once tries each container once. Its error is unreached when none was.
func once(r *http.Request, v *visit) (*http.Response, error) {
	errs := []error{}
	cookie := ""
	if v.way.front.Sticky == spec.ByCookie {
		cookie = cookieOf(r, v.way.name)
	}
	list := v.way.choice(cookie, v.from.client.Addr())
	if i := slices.Index(list, v.party.of.login); i > 0 {
		list[0], list[i] = list[i], list[0] // a list of more than one is ours
	}
	for _, b := range list {
		v.choose(b)
		try := r
		if r.Body != nil && r.Body != http.NoBody {
			try = r.WithContext(r.Context())
			try.Body = io.NopCloser(r.Body) // a transport closes it even when it never connected
		}
		answer, err := b.transport.RoundTrip(try)
		missed := err != nil && errors.As(err, new(unreached))
		if !moved(err) {
			b.fared(!missed)
		}
		if err == nil {
			answer.Request = r
			return answer, nil
		}
		errs = append(errs, err)
		if !missed || r.Context().Err() != nil {
			return nil, err
		}
	}
	v.choose(nil)
	if len(errs) == 0 {
		return nil, unreached{errNoTarget}
	}
	return nil, unreached{errors.Join(errs...)}
}

const bufferSize = 32 << 10

// buffers lends what bodies are copied through. The zero value is ready.
type buffers struct{ pool sync.Pool }

// Get lends a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return make([]byte, bufferSize)
}

// Put takes it back.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
