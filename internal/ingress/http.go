package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
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
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
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
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // of TLS
		c = t.NetConn()
	}
	if v, ok := c.(*visitor); ok {
		p := &party{Context: ctx, door: v.door}
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
	f.proxy = f.newProxy()
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v := f.visit(rw, r)
		defer v.over(r)
		v.told[0] = v.id
		rw.Header()["X-Request-Id"] = v.told[:]
		if !r.ProtoAtLeast(1, 1) {
			rw.Header().Set("Connection", "close") // net/http passes over its Transfer-Encoding: RFC 9112, 6.1
		}
		if f.prove(v, r) {
			return
		}
		if status := v.judge(r); status != 0 {
			refuse(v, r, status)
			return
		}
		if v.elsewhere(r) {
			return
		}
		if v.copies == nil {
			r = r.WithContext(&knows{r.Context(), v})
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
	client := v.from.client.Addr()
	for held, first := (holding{v.began, v.front.set.Hold}), true; ; first = false {
		w, status := v.front.find(r)
		if status != 0 {
			return status
		}
		v.along(w)
		if !w.lets(client) {
			v.door.denied.Add(1)
			return http.StatusForbidden
		}
		if first && !w.limit.allow(client) {
			v.door.denied.Add(1)
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
	case twofold(r.URL):
		return nil, http.StatusBadRequest
	}
	for _, w := range ways {
		if w.path == "" || r.URL.Path == w.path || strings.HasPrefix(r.URL.Path, w.path) && r.URL.Path[len(w.path)] == '/' {
			return w, 0
		}
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

// twofold tells whether a path can be read in two ways. Where paths lead to
// different services, we and an app might then read it differently.
func twofold(u *url.URL) bool {
	raw := strings.ToLower(u.EscapedPath())
	for _, trick := range []string{"//", "%2f", "%5c", "\\", "%00", ";", "%3b", "%25", "%2e"} {
		if strings.Contains(raw, trick) {
			return true
		}
	}
	for part := range strings.SplitSeq(raw, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return !strings.HasPrefix(raw, "/")
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
