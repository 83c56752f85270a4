package ingress

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"havre/internal/route"
)

// Clients may be slow to read and to send bodies, not to send headers.
const (
	headerTime  = 10 * time.Second
	idleTime    = 2 * time.Minute
	maxHeader   = 64 << 10
	maxStreams  = 250 // of one HTTP/2 connection
	goodbyeTime = 2 * time.Second
)

// partyOf is the context's key for the party that a connection brought.
type partyOf struct{}

// party is who is at the other end of a connection, as long as that is open,
// and the context of that.
type party struct {
	context.Context
	door *door
	from source // what is the same for all requests

	// Requests of our loop come one after the other. Their context is the party, so
	// it knows the visit.
	visit *visit
	hear  func() bool // heard
	said  *record
	of    *visitor

	mu   sync.Mutex      // guards what follows
	ctx  context.Context // that is watched
	gone bool            // it is done
	with *strand         // that has its request
}

// Value gives the party and the visit, or what the context below has.
func (p *party) Value(key any) any {
	switch key.(type) {
	case partyOf:
		return p
	case visitKey:
		return p.visit
	}
	return p.Context.Value(key)
}

// asks notes that a request goes by s now, which is given up when ctx is done. All
// requests of our loop have the context of their connection and come one after
// the other, so that it is watched only once.
func (p *party) asks(ctx context.Context, s *strand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.with = s
	if p.ctx == nil {
		p.ctx = ctx
		context.AfterFunc(ctx, p.left)
	}
	if p.gone {
		s.cut()
	}
}

// left gives up what goes on.
func (p *party) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone = true; p.with != nil {
		p.with.cut()
	}
}

// heard ends that. It is false when the request was given up.
func (p *party) heard() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.with = nil
	return !p.gone
}

// serveHTTP starts the two servers, which live as long as Run: their doors
// come and go. The returned function, called when all doors are shut, stops them
// and waits until everybody has left.
func (f *front) serveHTTP(cancel context.CancelCauseFunc) (stop func()) {
	h := f.handler()
	plain, secure := f.server(h), f.server(h)
	plain.Protocols.SetUnencryptedHTTP2(true)
	secure.Protocols.SetHTTP2(true)
	f.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1", "http/1.0"},
		GetCertificate: f.certificate, GetConfigForClient: f.proveTLS,
	}
	secure.TLSConfig = f.tls
	f.quick = f.newQuick(h)
	var serving sync.WaitGroup
	run := func(serve func() error) {
		serving.Go(func() {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) && f.ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	run(func() error { return plain.Serve(f.plain) })
	run(func() error { return secure.Serve(f.secure) })
	return func() {
		cancel(nil)
		ctx, done := context.WithTimeout(context.Background(), goodbyeTime)
		defer done()
		for _, s := range []*http.Server{plain, secure} {
			s.Shutdown(ctx)
			s.Close()
		}
		serving.Wait()
		f.inside.Wait()
	}
}

func (f *front) server(h http.Handler) *http.Server {
	speaks := new(http.Protocols)
	speaks.SetHTTP1(true)
	return &http.Server{
		Handler:           f.parting(h),
		Protocols:         speaks,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: idleTime / 4, PingTimeout: headerTime, WriteByteTimeout: idleTime},
		ReadHeaderTimeout: f.set.HeaderTime, // of TLS handshakes too
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return f.ctx },
		ConnContext:       withParty,
		// What strangers send wrong is no news.
		ErrorLog: slog.NewLogLogger(f.set.Log.Handler(), slog.LevelDebug),
	}
}

func withParty(ctx context.Context, c net.Conn) context.Context {
	var said *record
	if s, ok := c.(*secured); ok {
		said = s.said
	}
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // of TLS
		c = t.NetConn()
	}
	if v, ok := c.(*visitor); ok {
		p := &party{Context: ctx, door: v.door, of: v, said: cmp.Or(said, v.said)}
		p.hear = p.heard
		p.from.client, p.from.here = addrPort(v.RemoteAddr()), addrPort(v.LocalAddr())
		p.from.spell()
		return p
	}
	return ctx
}

// certificate finds the one for the name a client asked for. Without one the
// handshake ends with unrecognized_name, as crypto/tls does when it is given
// neither a certificate nor an error.
func (f *front) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.now.Load().certificate(hostName(hello.ServerName)), nil
}

// handler decides in this order: is there such a host, may this client come
// in, is anybody there. So nobody learns from outside what a private service
// does at the moment.
func (f *front) handler() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v := f.visit(rw, r)
		defer v.over(r)
		v.told[0] = v.id
		rw.Header()["X-Request-Id"] = v.told[:]
		if !r.ProtoAtLeast(1, 1) {
			rw.Header().Set("Connection", "close") // net/http passes over its Transfer-Encoding: RFC 9112, 6.1
		}
		if v.copies == nil {
			odd, twofold := v.party.said.begin(r)
			defer v.party.said.end(r)
			if v.odd = odd; twofold {
				rw.Header().Set("Connection", "close") // RFC 9112, 6.1
			}
		}
		if f.prove(v, r) {
			return
		}
		if status := v.judge(r); status != 0 {
			refuse(v, r, status)
			return
		}
		if v.elsewhere(r) || v.endsHere(r) {
			return
		}
		if v.copies == nil {
			r = r.WithContext(&knows{r.Context(), v})
		}
		if r.ContentLength == 0 && len(r.Trailer) == 0 {
			r.Body = http.NoBody // HTTP/2's is another
		}
		if r.Body != nil && r.Body != http.NoBody {
			c := http.NewResponseController(rw)
			if !v.http2 {
				c.EnableFullDuplex() // an app may answer while it reads; HTTP/1's server can
			}
			v.body = &upload{ReadCloser: r.Body, visit: v, until: c, most: int64(v.way.front.Body)}
			v.body.cleanTrailer()
			r.Body = v.body
			defer v.body.leave()
		}
		f.forward(v, r)
	})
}

// judge finds the way and says whether this client may go it: its status is 0
// when it may.
func (v *visit) judge(r *http.Request) (status int) {
	switch {
	case r.Method == http.MethodConnect:
		return http.StatusMethodNotAllowed
	case !oneWord(r.Method), !oneWord(r.URL.RawQuery): // by HTTP/2, to whose parts a blank means nothing
		return http.StatusBadRequest
	case r.URL.Path == "":
		if r.URL.Opaque != "" { // "http:x", which an app would take for who knows what
			return http.StatusBadRequest
		}
		r.URL.Path = "/" // RFC 9110, 4.2.3
	case r.URL.Path[0] != '/':
		return http.StatusBadRequest
	}
	escapeOdd(r.URL)
	client := v.from.client.Addr()
	for held, first := (holding{began: v.began, most: v.front.set.Hold}), true; ; first = false {
		w, status := v.front.find(r)
		if status != 0 {
			if status == http.StatusBadRequest {
				v.says = twofoldSays
			}
			return status
		}
		v.along(w)
		if !w.lets(client) {
			v.door.denied.Add(1)
			return http.StatusForbidden
		}
		if first && !w.limit.allow(client) {
			v.door.denied.Add(1)
			v.again = w.limit.next(client)
			return http.StatusTooManyRequests
		}
		if len(w.backends) > 0 {
			break
		}
		if !held.wait(r.Context(), v.way) {
			v.door.failed.Add(1)
			return http.StatusServiceUnavailable
		}
	}
	if v.way.front.Redirect && !v.from.secure {
		return 0 // a password must not come in the clear
	}
	if v.user, status = v.way.users.check(r, client); status != 0 {
		v.door.denied.Add(1)
		v.again = v.way.users.misses.next(client)
		return status
	}
	if most := int64(v.way.front.Body); most > 0 && r.ContentLength > most {
		return http.StatusRequestEntityTooLarge
	}
	return 0
}

// oneWord tells whether s is that also in a line with other words.
func oneWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// find is the way of a request's host and path.
func (f *front) find(r *http.Request) (*way, int) {
	now, host := f.now.Load(), hostName(r.Host)
	ways := now.ways(host)
	switch {
	case len(ways) == 0:
		return nil, http.StatusNotFound
	case r.TLS != nil && !now.covered(host, hostName(r.TLS.ServerName)):
		return nil, http.StatusMisdirectedRequest // RFC 9110, 15.5.20
	case len(ways) == 1 && ways[0].path == "":
		return ways[0], 0
	case twofold(r.URL, ways):
		return nil, http.StatusBadRequest
	}
	if w := wayOfPath(r.URL.Path, ways); w != nil {
		return w, 0
	}
	return nil, http.StatusNotFound
}

// elsewhere sends a client to where it should ask: from HTTP to HTTPS, and
// from a path that is taken away to the directory that the app takes it for.
func (v *visit) elsewhere(r *http.Request) bool {
	query := ""
	if r.URL.RawQuery != "" {
		query = "?" + r.URL.RawQuery
	}
	switch w := v.way; {
	case w.front.Redirect && !v.from.secure:
		to := hostName(r.Host)
		if port := v.front.now.Load().table.HTTPSPort; port != route.DefaultHTTPS {
			to = fmt.Sprintf("%s:%d", to, port)
		}
		v.Header().Set("Location", "https://"+to+r.URL.EscapedPath()+query)
	case w.front.Strip && w.path != "" && r.URL.Path == w.path:
		v.Header().Set("Location", w.path+"/"+query)
	default:
		return false
	}
	v.Header().Set("Content-Length", "0")
	v.WriteHeader(http.StatusPermanentRedirect)
	return true
}

// escapeOdd writes a path as an app gets it: what stands there escaped stays so,
// and of the other bytes those are escaped that may not stand in a path (RFC
// 3986, 3.3). net/url would write the whole path anew, where "%2F" is a slash.
func escapeOdd(u *url.URL) {
	if strings.IndexFunc(u.RawPath, func(r rune) bool { return r > 0x7f || !inPath(byte(r)) }) < 0 {
		return
	}
	var b strings.Builder
	for i := range len(u.RawPath) {
		if c := u.RawPath[i]; inPath(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	u.RawPath = b.String()
}

// inPath tells whether c may stand in a path as it is. Brackets may not, but
// net/url and others leave them.
func inPath(c byte) bool { return unreserved(c) || strings.IndexByte("/%!$&'()*+,;=:@[]", c) >= 0 }

// allowed are the methods that clients are told of.
const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// forwards is how often a request may be passed on: RFC 9110, 7.6.2.
func forwards(r *http.Request) (n int, said bool) {
	if r.Method != http.MethodTrace && r.Method != http.MethodOptions || r.Header["Max-Forwards"] == nil {
		return 0, false
	}
	n, err := strconv.Atoi(r.Header.Get("Max-Forwards"))
	return n, err == nil && n >= 0
}

// endsHere answers what is not to be passed on.
func (v *visit) endsHere(r *http.Request) bool {
	n, said := forwards(r)
	switch {
	case !said || n > 0:
		return false
	case r.Method == http.MethodTrace:
		refuse(v, r, http.StatusMethodNotAllowed)
	default:
		v.Header().Set("Allow", allowed)
		v.WriteHeader(http.StatusNoContent)
	}
	return true
}

// twofold tells whether a path can be read in two ways that lead to different
// services of ways: then an app might read it in the other one.
func twofold(u *url.URL, ways []*way) bool {
	path := unescape(u.EscapedPath(), unreserved)
	if !tricky(path) {
		return false
	}
	if len(path) > maxTricky {
		return true
	}
	first := wayOfPath(u.Path, ways)
	if first != nil && first.front.Strip {
		if rest := strings.TrimPrefix(u.Path, first.path); strings.HasPrefix(rest, "//") || strings.HasPrefix(rest, `/\`) {
			return true // its app would take it for a host
		}
	}
	for range maxEscapes {
		for _, p := range readings(path) {
			if w := wayOfPath(p, ways); w != first && (w == nil || first == nil || w.service != first.service) {
				return true
			}
		}
		next := unescape(path, func(byte) bool { return true })
		if strings.Contains(path, "%00") {
			return true
		}
		if next == path {
			return false
		}
		path = next
	}
	return true
}

// tricky tells whether there is something in a path that may be read in two ways.
func tricky(path string) bool {
	if strings.Contains(path, "//") || strings.Contains(path, "/.") || strings.ContainsAny(path, ";\\") {
		return true
	}
	for rest := strings.ToLower(path); ; {
		_, after, found := strings.Cut(rest, "%")
		switch {
		case !found:
			return false
		case len(after) > 1 && slices.Contains([]string{"00", "25", "2f", "3b", "5c"}, after[:2]):
			return true
		}
		rest = after
	}
}

// maxEscapes is how often a path may be escaped; what is escaped more often is
// not anybody's page.
const maxEscapes = 4

// maxTricky is how long a path may be that is read in all its ways.
const maxTricky = 8 << 10

// readings are what others make of a path: without a host at its beginning, with
// an escaped slash and a backslash as slashes, without what follows a ";" in each
// part, without empty parts, and with ".." resolved.
func readings(path string) []string {
	all := []string{path}
	for _, reads := range []func(string) string{slashes, withoutHost, withoutParameters, withoutEmpty, resolved} {
		for _, p := range all {
			if other := reads(p); other != p {
				all = append(all, other)
			}
		}
	}
	return all
}

var slash = strings.NewReplacer("%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", "\\", "/")

func slashes(path string) string { return slash.Replace(path) }

// withoutHost reads what begins with "//" as RFC 3986, 4.2 does.
func withoutHost(path string) string {
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		_, path, _ = strings.Cut(rest, "/")
		return "/" + path
	}
	return path
}

var semicolon = strings.NewReplacer("%3b", ";", "%3B", ";")

func withoutParameters(path string) string {
	parts := strings.Split(semicolon.Replace(path), "/")
	for i, p := range parts {
		parts[i], _, _ = strings.Cut(p, ";")
	}
	return strings.Join(parts, "/")
}

func withoutEmpty(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

var dot = strings.NewReplacer("%2e", ".", "%2E", ".")

// resolved is RFC 3986, 5.2.4.
func resolved(path string) string {
	var stay []string
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch dot.Replace(part) {
		case ".":
		case "..":
			stay = stay[:max(len(stay)-1, 0)]
		default:
			stay = append(stay, part)
		}
	}
	return "/" + strings.Join(stay, "/")
}

// unescape takes one layer of escapes away, of those bytes that may be; a "%"
// that does not begin one stays.
func unescape(path string, may func(byte) bool) string {
	if strings.IndexByte(path, '%') < 0 {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if c, err := hex.DecodeString(path[i+1 : i+3]); err == nil && may(c[0]) {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// unreserved tells whether c means the same escaped or not: RFC 3986, 2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// wayOfPath is the one of a host's ways that a path leads to, nil for none.
func wayOfPath(path string, ways []*way) *way {
	for _, w := range ways {
		if w.path == "" || path == w.path || strings.HasPrefix(path, w.path) && path[len(w.path)] == '/' {
			return w
		}
	}
	return nil
}

// hostName is a Host header or server name as tables spell it; one with a port
// that is none stays as it is, and is nobody's.
func hostName(host string) string {
	if strings.IndexByte(host, ':') >= 0 {
		if h, port, err := net.SplitHostPort(host); err == nil && strings.Trim(port, "0123456789") == "" {
			host = h
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
