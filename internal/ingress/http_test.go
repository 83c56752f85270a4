package ingress_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"havre/internal/ingress"
	"havre/internal/portal/portaltest"
	"havre/internal/route"
	"havre/internal/spec"
)

// serves is a container with a web server.
func (w *world) serves(h http.Handler) route.Target {
	w.t.Helper()
	return w.runs(&http.Server{Handler: h})
}

// servesTwo is a container with a web server that speaks HTTP/2 alone, without
// TLS.
func (w *world) servesTwo(h http.HandlerFunc) route.Target {
	w.t.Helper()
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	return w.runs(s)
}

// runs is a container with this web server.
func (w *world) runs(s *http.Server) route.Target {
	w.t.Helper()
	conns := &handed{conns: make(chan net.Conn), done: make(chan struct{})}
	target := w.container(conns.take)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.Serve(conns)
	}()
	w.t.Cleanup(func() {
		s.Close()
		<-stopped
	})
	return target
}

// handed is a listener whose connections another one accepted.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
}

func (h *handed) take(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.done:
		c.Close()
	}
}

func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handed) Close() error {
	close(h.done)
	return nil
}

func (h *handed) Addr() net.Addr { return &net.TCPAddr{} }

// web is a table with one host, www.example.
func web(t testing.TB, targets ...route.Target) route.Table {
	return route.Table{
		HTTPPort: freePort(t), HTTPSPort: freePort(t),
		HTTP: []route.HTTP{{Host: "www.example", Access: spec.Public, Service: "prod.web.www", Targets: targets}},
	}
}

// browser is a client for which every name is at this address.
func browser(t testing.TB, port uint16) *http.Client {
	var d net.Dialer
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", local(port))
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func get(t testing.TB, c *http.Client, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(b)
}

// answerOf reads an answer from a connection.
func answerOf(t testing.TB, c net.Conn) (int, string) {
	t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func says(word string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, word) })
}

func TestHostLeadsToAContainer(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-App", "yes")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %s %q", r.Method, r.Host, r.RequestURI, b, r.Header.Get("Accept-Encoding"))
	})))
	w.must(table)
	c := browser(t, table.HTTPPort)
	c.Transport.(*http.Transport).DisableCompression = true
	for _, host := range []string{"www.example", "WWW.Example", "www.example.", "www.example:8080"} {
		r, err := http.NewRequest("POST", "http://"+host+"/a%2Fb/../c;d?q=1;2&x=%zz", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		want := "POST " + host + ` /a%2Fb/../c;d?q=1;2&x=%zz body ""`
		if answer.StatusCode != http.StatusTeapot || answer.Header.Get("X-App") != "yes" || string(b) != want {
			t.Errorf("%d %q\nwant %q", answer.StatusCode, b, want)
		}
	}
}

func TestRefusalsSayWhatAndNoMore(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(says("here")))
	deaf := w.says("")
	deaf.Port = freePort(t)
	rude := w.container(func(c net.Conn) {
		io.WriteString(c, "\x16\x03 this is not HTTP\r\n")
		c.Close()
	})
	for host, target := range map[string][]route.Target{"none.example": nil, "deaf.example": {deaf}, "rude.example": {rude}} {
		table.HTTP = append(table.HTTP, route.HTTP{Host: host, Access: spec.Public, Service: "prod.web.secretname", Targets: target})
	}
	w.must(table)
	c := browser(t, table.HTTPPort)
	for host, want := range map[string]int{
		"www.example":   http.StatusOK,
		"other.example": http.StatusNotFound,
		"example":       http.StatusNotFound,
		"127.0.0.1":     http.StatusNotFound,
		"none.example":  http.StatusServiceUnavailable,
		"deaf.example":  http.StatusBadGateway,
		"rude.example":  http.StatusBadGateway,
	} {
		for accept, kind := range map[string]string{"text/html,*/*": "text/html; charset=utf-8", "*/*": "application/problem+json"} {
			answer, body := get(t, c, "http://"+host+"/path", "Accept", accept)
			if answer.StatusCode != want {
				t.Errorf("%s: %d; want %d", host, answer.StatusCode, want)
			}
			if want == http.StatusOK {
				continue
			}
			if answer.Header.Get("Content-Type") != kind {
				t.Errorf("%s: content type %q for %q", host, answer.Header.Get("Content-Type"), accept)
			}
			if again := answer.Header.Get("Retry-After"); (again != "") != (want == http.StatusServiceUnavailable) {
				t.Errorf("%s: Retry-After %q", host, again)
			}
			whole := body + fmt.Sprint(answer.Header)
			for _, secret := range []string{"secretname", "127.0.1.", "portal", deaf.Container[:12], "/path", "refused"} {
				if strings.Contains(whole, secret) {
					t.Errorf("%s tells %q: %s", host, secret, whole)
				}
			}
		}
	}
}

func TestRequestWithoutAHostOrWithCONNECTGoesNowhere(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(says("here")))
	w.must(table)
	for request, want := range map[string]int{
		"GET / HTTP/1.0\r\n\r\n": http.StatusNotFound,
		"GET / HTTP/1.1\r\n\r\n": http.StatusBadRequest,
		"GET http://other.example/ HTTP/1.1\r\nHost: www.example\r\n\r\n":    http.StatusNotFound,
		"CONNECT www.example:25 HTTP/1.1\r\nHost: www.example:25\r\n\r\n":    http.StatusMethodNotAllowed,
		"GET / HTTP/1.1\r\nHost: www.example\r\nHost: other.example\r\n\r\n": http.StatusBadRequest,
	} {
		c := dial(t, table.HTTPPort)
		io.WriteString(c, request)
		if status, body := answerOf(t, c); status != want {
			t.Errorf("%q: %d %s; want %d", request, status, body, want)
		}
	}
}

func TestForwardedHeadersAreOurs(t *testing.T) {
	w := open(t)
	seen := make(chan http.Header, 1)
	table := web(t, w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })))
	w.must(table)
	c := dial(t, table.HTTPPort)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example:8000\r\n"+
		"X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 6.6.6.7\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\n"+
		"X-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-User: root\r\nForwarded: for=6.6.6.6\r\n"+
		"X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nProxy: evil\r\n"+
		"Connection: X-Forwarded-For, X-Forwarded-Proto, X-Mine\r\nX-Mine: hop\r\nX-Other: kept\r\n\r\n")
	h := <-seen
	for name, want := range map[string]string{
		"X-Forwarded-For":   "127.0.0.1",
		"X-Forwarded-Host":  "www.example:8000",
		"X-Forwarded-Proto": "http",
		"X-Other":           "kept",
		"X-Mine":            "", // it was for us: RFC 9110, 7.6.1
	} {
		if got := strings.Join(h.Values(name), "|"); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
	for name, values := range h {
		if whole := fmt.Sprint(values); strings.Contains(whole, "6.6.6") || strings.Contains(whole, "evil") || strings.Contains(whole, "root") {
			t.Errorf("%s: %v went through", name, values)
		}
	}
}

// echoesMessages is a websocket that gives back what it gets.
var echoesMessages = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(rw, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
})

func message(t testing.TB, c *websocket.Conn, word string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(word)); err != nil {
		return err
	}
	_, b, err := c.Read(ctx)
	if err == nil && string(b) != word {
		err = fmt.Errorf("%q came back as %q", word, b)
	}
	return err
}

func TestWebsocketLivesAsLongAsTheIngress(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	table := web(t, w.serves(echoesMessages))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	secure := secureBrowser(t, table.HTTPSPort, roots)
	secure.Transport.(*http.Transport).ForceAttemptHTTP2 = false // as browsers do for websockets
	var all []*websocket.Conn
	for url, client := range map[string]*http.Client{"ws://www.example/chat": browser(t, table.HTTPPort), "wss://www.example/chat": secure} {
		c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		all = append(all, c)
	}
	say := func(word string) {
		t.Helper()
		for _, c := range all {
			if err := message(t, c, word); err != nil {
				t.Error(err)
			}
		}
	}
	say("hello")
	w.must(route.Table{})
	say("even without a route")
	stop()
	for _, c := range all {
		if err := message(t, c, "anybody?"); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the end: %v", err)
		}
	}
}

func TestWhatTheAppSendsIsSeenAtOnce(t *testing.T) {
	w := open(t)
	next := make(chan struct{})
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "6")
		}
		for _, word := range []string{"a\n", "b\n", "c\n"} {
			io.WriteString(w, word)
			w.(http.Flusher).Flush()
			<-next
		}
	})))
	w.must(table)
	for _, path := range []string{"/stream", "/known"} {
		answer, err := browser(t, table.HTTPPort).Get("http://www.example" + path)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(answer.Body)
		for _, want := range []string{"a\n", "b\n", "c\n"} {
			if line, err := lines.ReadString('\n'); err != nil || line != want {
				t.Errorf("%s: %q, %v; want %q", path, line, err, want)
			}
			next <- struct{}{}
		}
		answer.Body.Close()
	}
}

func TestBrokenAnswerDoesNotLookWhole(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})))
	w.must(table)
	answer, err := browser(t, table.HTTPPort).Get("http://www.example/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err == nil {
		t.Errorf("%q looks whole", b)
	}
}

func TestRequestGoesToAnotherContainerOnlyWhenNothingWasSent(t *testing.T) {
	w := open(t)
	var asked atomic.Int32
	dies := w.container(func(c net.Conn) {
		defer c.Close()
		http.ReadRequest(bufio.NewReader(c))
		asked.Add(1) // it may have done what was asked
	})
	deaf := w.says("")
	deaf.Port = freePort(t)
	var bodies atomic.Int32
	good := w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err == nil && string(b) == "the body" {
			bodies.Add(1)
		}
	}))
	send := func(port uint16, method, body string) int {
		r, err := http.NewRequest(method, "http://www.example/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := browser(t, port).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	table := web(t, deaf, good)
	w.must(table)
	for range 4 {
		if status := send(table.HTTPPort, "POST", "the body"); status != http.StatusOK {
			t.Errorf("with a deaf one beside it: %d", status)
		}
	}
	if bodies.Load() != 4 {
		t.Errorf("%d whole bodies arrived", bodies.Load())
	}

	table.HTTP[0].Targets = []route.Target{dies, good}
	w.must(table)
	for method, body := range map[string]string{"POST": "the body", "DELETE": ""} {
		asked.Store(0)
		count := map[int]int{}
		for range 4 {
			count[send(table.HTTPPort, method, body)]++
		}
		if count[http.StatusOK] != 2 || count[http.StatusBadGateway] != 2 || asked.Load() != 2 {
			t.Errorf("%s: statuses %v; the one that dies was asked %d times", method, count, asked.Load())
		}
	}
}

func TestKeptConnectionIsItsContainersAlone(t *testing.T) {
	w := open(t)
	var open, total atomic.Int32
	old := &http.Server{Handler: says("old")}
	old.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
			total.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	target := w.runs(old)
	table := web(t, target)
	w.must(table)
	c := browser(t, table.HTTPPort)
	for range 5 {
		get(t, c, "http://www.example/")
	}
	w.must(table) // says the same
	get(t, c, "http://www.example/")
	if total.Load() != 1 {
		t.Errorf("%d connections for 6 requests", total.Load())
	}

	// The address and the port stay, the container is another one.
	heir := target
	heir.Container = portaltest.ID("heir")
	table.HTTP[0].Targets = []route.Target{heir}
	w.must(table)
	answer, body := get(t, c, "http://www.example/")
	if answer.StatusCode != http.StatusBadGateway {
		t.Errorf("%d %q came by the old container's connection", answer.StatusCode, body)
	}
	eventually(t, "the old container's connection to be closed", func() error {
		if n := open.Load(); n != 0 {
			return fmt.Errorf("%d open", n)
		}
		return nil
	})
}

func TestPortsForHostsAreOpenOnlyWhileThereAreHosts(t *testing.T) {
	w := open(t)
	table := web(t)
	closed := func() {
		t.Helper()
		for _, port := range []uint16{table.HTTPPort, table.HTTPSPort} {
			if c, err := net.Dial("tcp", local(port)); err == nil {
				c.Close()
				t.Errorf("port %d listens", port)
			}
		}
	}
	closed()
	for range 2 { // they come back, too
		w.must(table)
		if answer, _ := get(t, browser(t, table.HTTPPort), "http://www.example/"); answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status = %d", answer.StatusCode)
		}
		w.must(route.Table{HTTPPort: table.HTTPPort, HTTPSPort: table.HTTPSPort})
		closed()
	}
}

func TestPortsForHostsOfLocalhostAloneAreBoundToTheLoopback(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Bind = netip.Addr{} })
	table := web(t)
	table.HTTP[0].Access = spec.Localhost
	reached := func(want bool) {
		t.Helper()
		for _, own := range ownAddresses(t) {
			c, err := net.Dial("tcp", netip.AddrPortFrom(own, table.HTTPPort).String())
			if err == nil {
				c.Close()
			}
			if (err == nil) != (want || own.IsLoopback()) {
				t.Errorf("%v: %v", own, err)
			}
		}
	}
	w.must(table)
	reached(false)
	table.HTTP = append(table.HTTP, route.HTTP{Host: "all.example", Access: spec.Private, Service: "prod.web.all"})
	w.must(table)
	reached(true)
}

func TestTCPRouteGoesBeforeHosts(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(says("web")))
	w.must(table)
	table.TCP = []route.TCP{tcpRoute(table.HTTPSPort, w.says("tcp"))}
	problems := w.put(table)
	if len(problems) != 1 || !strings.Contains(problems[0].Says, "prod.mail.exim") || problems[0].Listen != fmt.Sprintf(":%d/https", table.HTTPSPort) {
		t.Errorf("problems = %+v", problems)
	}
	if word, err := read(t, table.HTTPSPort); err != nil || word != "tcp" {
		t.Errorf("%q, %v", word, err)
	}
	if _, body := get(t, browser(t, table.HTTPPort), "http://www.example/"); body != "web" {
		t.Errorf("plain HTTP: %q", body)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(says("web")))
	w.must(table)
	c := dial(t, table.HTTPPort)
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: www.example\r\nX: %s\r\n\r\n", strings.Repeat("x", 100<<10))
	if status, _ := answerOf(t, c); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status = %d", status)
	}
}

func TestEndOfTheIngressDoesNotWaitForSlowAnswers(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	reached := make(chan struct{})
	table := web(t, w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})))
	w.must(table)
	failed := make(chan error, 1)
	go func() {
		answer, err := browser(t, table.HTTPPort).Get("http://www.example/")
		if err == nil {
			answer.Body.Close()
			err = fmt.Errorf("answered %s", answer.Status)
		} else {
			err = nil
		}
		failed <- err
	}()
	<-reached
	stop() // the answer ends with its connection, and not before
	if err := <-failed; err != nil {
		t.Error(errors.Join(errors.New("the client"), err))
	}
}
