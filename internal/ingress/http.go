package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Clients may be slow to read and to send bodies, not to send headers.
const (
	headerTime  = 10 * time.Second
	idleTime    = 2 * time.Minute
	maxHeader   = 64 << 10
	goodbyeTime = 2 * time.Second
)

// doorOf is the context's key for the door a request came in by; wayOf for
// where it goes.
type doorOf struct{}
type wayOf struct{}

// serveHTTP starts the two servers, which live as long as Run: their doors
// come and go. The returned function, called when all doors are shut, stops them
// and waits until everybody has left.
func (f *front) serveHTTP(cancel context.CancelCauseFunc) (stop func()) {
	h := f.handler()
	plain, secure := f.server(h), f.server(h)
	secure.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.certificate}
	var serving sync.WaitGroup
	run := func(serve func() error) {
		serving.Go(func() {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) && f.ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	run(func() error { return plain.Serve(f.plain) })
	run(func() error { return secure.ServeTLS(f.secure, "", "") })
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
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime, // of TLS handshakes too
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return f.ctx },
		ConnContext:       withDoor,
		// What strangers send wrong is no news.
		ErrorLog: slog.NewLogLogger(f.set.Log.Handler(), slog.LevelDebug),
	}
}

func withDoor(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if v, ok := c.(*visitor); ok {
		ctx = context.WithValue(ctx, doorOf{}, v.door)
	}
	return ctx
}

// certificate finds the one for the name a client asked for. Without one the
// handshake ends with unrecognized_name, as crypto/tls does when it is given
// neither a certificate nor an error.
func (f *front) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.now.Load().certs[hostName(hello.ServerName)], nil
}

// handler decides in this order: is there such a host, may this client come
// in, is anybody there. So nobody learns from outside what a private service
// does at the moment.
func (f *front) handler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     inTurn{f},
		FlushInterval: -1, // what the app sends is seen when it sends it
		BufferPool:    &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}},
		ErrorLog:      slog.NewLogLogger(f.set.Log.Handler(), slog.LevelDebug),
		ErrorHandler:  f.proxyFailed,
	}
	return f.counted(func(rw http.ResponseWriter, r *http.Request) {
		d := r.Context().Value(doorOf{}).(*door)
		host := hostName(r.Host)
		v := f.now.Load()
		w := v.http[host]
		for held := f.hold(); w != nil && len(w.backends) == 0 && f.networks.Allow(w.access, clientOfRequest(r)) && held.wait(r.Context(), w); {
			v = f.now.Load()
			w = v.http[host]
		}
		switch {
		case r.Method == http.MethodConnect:
			refuse(rw, r, http.StatusMethodNotAllowed)
		case w == nil:
			refuse(rw, r, http.StatusNotFound)
		case r.TLS != nil && !v.covered(host, hostName(r.TLS.ServerName)):
			refuse(rw, r, http.StatusMisdirectedRequest) // RFC 9110, 15.5.20
		case !f.networks.Allow(w.access, clientOfRequest(r)):
			d.denied.Add(1)
			refuse(rw, r, http.StatusForbidden)
		case len(w.backends) == 0:
			d.failed.Add(1)
			refuse(rw, r, http.StatusServiceUnavailable)
		default:
			proxy.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), wayOf{}, w)))
		}
	})
}

// proxyFailed answers when no container did. The reason stays here: it names
// containers and addresses.
func (f *front) proxyFailed(rw http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the client left, or we do
	}
	r.Context().Value(doorOf{}).(*door).failed.Add(1)
	f.set.Log.Debug("no answer", "service", r.Context().Value(wayOf{}).(*way).service, "err", err)
	refuse(rw, r, http.StatusBadGateway)
}

// rewrite makes the request that the container gets. Where the client is, and
// how it came, is what we saw: its own word on that is dropped, also when it
// is spelt so that a CGI would take it for the same header.
func rewrite(p *httputil.ProxyRequest) {
	for name := range p.Out.Header {
		plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if strings.HasPrefix(plain, "x-forwarded-") || plain == "forwarded" || plain == "x-real-ip" || plain == "proxy" {
			delete(p.Out.Header, name)
		}
	}
	p.SetXForwarded()
	if client := clientOfRequest(p.In); client.IsValid() {
		p.Out.Header.Set("X-Forwarded-For", client.WithZone("").String())
	}
	p.Out.URL.Scheme = "http"
	p.Out.URL.Host = "container"           // which one, its transport knows
	p.Out.URL.RawQuery = p.In.URL.RawQuery // as the client wrote it, not as Go would
	p.Out.Host = p.In.Host
}

func clientOfRequest(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// hostName is a Host header or server name as tables spell it.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// inTurn is the transport to a way's containers, the next one first. Another
// one is tried only where a container did not take the connection at all. What
// may have reached an app is not sent to another; to the same one net/http
// repeats a GET whose kept connection ended under it (RFC 9112, 9.3.1).
type inTurn struct{ front *front }

// RoundTrip sends r to one of the containers of the way in its context, or of
// the one that took its place while the request was held.
func (t inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	w := r.Context().Value(wayOf{}).(*way)
	if r.Body != nil && r.Body != http.NoBody {
		defer r.Body.Close()
	}
	for held := t.front.hold(); ; {
		answer, err := once(r, w)
		if err == nil || !errors.As(err, new(unreached)) {
			return answer, err
		}
		now := t.front.now.Load().http[hostName(r.Host)]
		if now == nil || now == w && !held.wait(r.Context(), w) {
			return nil, err
		}
		w = now
	}
}

// once tries each container once. Its error is unreached when none was.
func once(r *http.Request, w *way) (*http.Response, error) {
	var errs []error
	for _, b := range w.inTurn() {
		try := r.WithContext(r.Context())
		if r.Body != nil && r.Body != http.NoBody {
			try.Body = io.NopCloser(r.Body) // a transport closes it even when it never connected
		}
		answer, err := b.transport.RoundTrip(try)
		if err == nil {
			return answer, nil
		}
		errs = append(errs, err)
		if !errors.As(err, new(unreached)) || r.Context().Err() != nil {
			return nil, err
		}
	}
	return nil, unreached{errors.Join(errs...)}
}

const bufferSize = 32 << 10

// buffers lends what bodies are copied through.
type buffers struct{ pool sync.Pool }

// Get lends a buffer.
func (b *buffers) Get() []byte { return b.pool.Get().(*[bufferSize]byte)[:] }

// Put takes it back.
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
