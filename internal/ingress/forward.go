package ingress

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"havre/internal/spec"
)

// forward brings r to a container and its answer back. What turns a connection
// into another kind goes by net/http's proxy.
func (f *front) forward(v *visit, r *http.Request) {
	if to := r.Header.Get("Upgrade"); to != "" && mayUpgrade(to) {
		f.proxy.ServeHTTP(v, r)
		return
	}
	answer, err := inTurn{f}.RoundTrip(v.outgoing(r))
	if err != nil {
		f.proxyFailed(v, r, err)
		return
	}
	defer func() { answer.Body.Close() }() // the one there is at the end: finish may put another round it
	if answer.StatusCode == http.StatusSwitchingProtocols {
		f.proxyFailed(v, r, errors.New("the answer switches to what nobody asked for"))
		return
	}
	if v.straight(answer) {
		return
	}
	f.finish(answer)
	h, own := v.Header(), answer.Header["Connection"]
	for name, values := range answer.Header {
		if !hopByHop(name) && !lists(own, name) {
			h[name] = append(h[name], values...)
		}
	}
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // net/http would guess one
	}
	announced := len(answer.Trailer)
	for name := range answer.Trailer {
		h["Trailer"] = append(h["Trailer"], name)
	}
	v.WriteHeader(answer.StatusCode)
	if v.relay(answer) != nil {
		panic(http.ErrAbortHandler) // all that is left is to let the client see that it is not whole
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
		panic(http.ErrAbortHandler) // as above
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

// newProxy makes the one for upgraded connections.
func (f *front) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      inTurn{f},
		ModifyResponse: f.finish,
		FlushInterval:  -1, // what the app sends is seen when it sends it
		BufferPool:     &f.buffers,
		ErrorLog:       slog.NewLogLogger(f.set.Log.Handler(), slog.LevelDebug),
		ErrorHandler:   f.proxyFailed,
	}
}

// proxyFailed answers when no container did. The reason stays here: it names
// containers and addresses.
func (f *front) proxyFailed(rw http.ResponseWriter, r *http.Request, err error) {
	v := visitOf(r)
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

// rewrite makes the request that the container gets. Where the client is, and
// how it came, is what we saw: its own word on that is dropped.
func rewrite(p *httputil.ProxyRequest) {
	v, h := visitOf(p.In), p.Out.Header
	for name := range h {
		if ours(name) {
			delete(h, name)
		}
	}
	delete(h, "Http2-Settings") // RFC 9113, 3.1: nobody's any more
	v.mark(p.Out, p.In.URL)
	p.Out.Host = p.In.Host
	p.Out.Trailer = p.In.Trailer // the same map: it is filled when the body has ended
}

// outgoing is the request that the container gets for r: without what was
// meant for us alone (RFC 9110, 7.6.1), and marked.
func (v *visit) outgoing(r *http.Request) *http.Request {
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
func (f *front) finish(answer *http.Response) error {
	v := visitOf(answer.Request)
	answer.Header.Del("X-Request-Id") // ours stands there already
	if w := v.way; w.front.Sticky == spec.ByCookie && len(w.backends) > 1 && v.backend != nil && cookieOf(answer.Request, w.name) != v.backend.cookie {
		c := http.Cookie{Name: w.name, Value: v.backend.cookie, Path: w.path + "/", HttpOnly: true, Secure: v.from.secure, SameSite: http.SameSiteLaxMode}
		answer.Header.Add("Set-Cookie", c.String())
	}
	if !v.way.front.Plain {
		f.press.apply(answer)
	}
	return nil
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
// an app is sent to nobody else, and not to the same one again.
type inTurn struct{ front *front }

// RoundTrip sends r to one of the containers of the way that its visit goes,
// or of the one that took its place while the request was held.
func (t inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	v := visitOf(r)
	for held := (holding{}); ; {
		answer, err := once(r, v)
		if err == nil || !errors.As(err, new(unreached)) {
			return answer, err
		}
		if held.began.IsZero() {
			held = t.front.hold()
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
	for _, b := range v.way.choice(cookie, v.from.client.Addr()) {
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
