package ingress_test

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pires/go-proxyproto"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

// at adds a route to a table, for host/path.
func at(t *route.Table, where string, front spec.Front, targets ...route.Target) {
	host, path, found := strings.Cut(where, "/")
	if found {
		path = "/" + path
	}
	t.HTTP = append(t.HTTP, route.HTTP{Host: host, Path: path, Front: front, Access: spec.Public, Service: "prod.web." + strings.Trim(strings.ReplaceAll(host+path, "/", "-"), "*."), Targets: targets})
}

// tells is a container that says what it was asked.
func (w *world) tells(name string) route.Target {
	return w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", name, r.RequestURI, r.Header.Get("X-Forwarded-Prefix"))
	}))
}

// stay is a client that shows redirects and does not follow them.
func stay(c *http.Client) *http.Client {
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

func TestPathsAndWildcardsLeadToTheirOwn(t *testing.T) {
	w := open(t)
	table := web(t, w.tells("root"))
	at(&table, "www.example/mail", spec.Front{}, w.tells("mail"))
	at(&table, "www.example/mail/admin", spec.Front{Strip: true}, w.tells("admin"))
	at(&table, "*.example", spec.Front{}, w.tells("any"))
	at(&table, "only.path/x", spec.Front{}, w.tells("x"))
	w.must(table)
	c := stay(browser(t, table.HTTPPort))
	for url, want := range map[string]string{
		"www.example/":                     "root / ",
		"www.example/mailbox":              "root /mailbox ",
		"www.example/mail":                 "mail /mail ",
		"www.example/mail?q=1":             "mail /mail?q=1 ",
		"www.example/mail/a%20b":           "mail /mail/a%20b ",
		"www.example/mail/admin/x?y=%2F":   "admin /x?y=%2F /mail/admin",
		"www.example/mail/admin/a%20b":     "admin /a%20b /mail/admin",
		"www.example/%6dail/admin/a%20b":   "admin /a%20b /mail/admin",
		"other.example/any//thing":         "any /any//thing ",
		"a.other.example/":                 "404",
		"example/":                         "404",
		"only.path/":                       "404",
		"only.path/x/y":                    "x /x/y ",
		"www.example/a/../mail/admin":      "400",
		"www.example//mail":                "400",
		"www.example/mail%2fadmin":         "400",
		"www.example/mail/%2e%2e/x":        "400",
		"www.example/x;/mail":              "root /x;/mail ",
		"www.example/mail;/x":              "400",
		"www.example/x%00":                 "400",
		"www.example/mail%5cadmin":         "400",
		"www.example/mail/%252e%252e/root": "400",
	} {
		answer, body := get(t, c, "http://"+url)
		if answer.StatusCode != http.StatusOK {
			body = fmt.Sprint(answer.StatusCode)
		}
		if body != want {
			t.Errorf("%s: %q; want %q", url, body, want)
		}
	}
	answer, _ := get(t, c, "http://www.example/mail/admin?q=1")
	if answer.StatusCode != http.StatusPermanentRedirect || answer.Header.Get("Location") != "/mail/admin/?q=1" {
		t.Errorf("%d to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
}

func TestPlainHTTPIsSentToHTTPS(t *testing.T) {
	w := open(t)
	table := web(t, w.says("never"))
	table.HTTP[0].Front.Redirect = true
	table.HTTP[0].Front.Users = []string{"ann:" + hash(t, "secret")} // it must not be asked for in the clear
	w.must(table)
	answer, _ := get(t, stay(browser(t, table.HTTPPort)), "http://www.example/a%20b?c=d")
	want := fmt.Sprintf("https://www.example:%d/a%%20b?c=d", table.HTTPSPort)
	if answer.StatusCode != http.StatusPermanentRedirect || answer.Header.Get("Location") != want {
		t.Errorf("%d to %q; want %q", answer.StatusCode, answer.Header.Get("Location"), want)
	}
}

func TestRequestIDIsTheClientsOnlyWhenItIsHarmless(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "the app's")
		io.WriteString(w, r.Header.Get("X-Request-Id"))
	})))
	w.must(table)
	c := browser(t, table.HTTPPort)
	for given, kept := range map[string]bool{"": false, "short": false, "abc-123_XYZ.9": true, "with blank 12": false, strings.Repeat("x", 65): false, `"><script>`: false} {
		answer, body := get(t, c, "http://www.example/", "X-Request-Id", given)
		if ids := answer.Header.Values("X-Request-Id"); len(ids) != 1 || ids[0] != body || len(body) < 8 || (body == given) != kept {
			t.Errorf("%q: the app saw %q, the client %q", given, body, ids)
		}
	}
	answer, body := get(t, c, "http://nobody.example/")
	if id := answer.Header.Get("X-Request-Id"); id == "" || !strings.Contains(body, id) {
		t.Errorf("the refusal %q does not name %q", body, id)
	}
}

func TestTrustedProxiesAreBelievedAndOthersNot(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		w := open(t, func(s *ingress.Settings) {
			if trusted {
				s.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			}
		})
		seen := make(chan http.Header, 1)
		table := web(t, w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })))
		table.HTTP[0].Access = "203.0.113.7/32,127.0.0.0/8"
		w.must(table)
		get(t, browser(t, table.HTTPPort), "http://www.example/", "X-Forwarded-For", "6.6.6.6, 203.0.113.7, 127.0.0.9",
			"X-Forwarded-Proto", "https", "X-Forwarded-Host", "shop.example", "X-Forwarded-Port", "8443", "Forwarded", "for=6.6.6.6")
		h := <-seen
		want := map[string]string{
			"X-Forwarded-For": "203.0.113.7, 127.0.0.9, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "8443",
			"Forwarded": `for=203.0.113.7;proto=https;host="shop.example"`,
		}
		if !trusted {
			want = map[string]string{
				"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "www.example", "X-Forwarded-Port": fmt.Sprint(table.HTTPPort),
				"Forwarded": `for=127.0.0.1;proto=http;host="www.example"`,
			}
		}
		for name, value := range want {
			if got := strings.Join(h.Values(name), "|"); got != value {
				t.Errorf("trusted %v: %s: %q; want %q", trusted, name, got, value)
			}
		}
		if trusted { // the address that access is judged by is the true one
			if answer, _ := get(t, browser(t, table.HTTPPort), "http://www.example/", "X-Forwarded-For", "127.0.0.1, 198.51.100.1"); answer.StatusCode != http.StatusForbidden {
				t.Errorf("a stranger behind a proxy: %d", answer.StatusCode)
			}
		}
	}
}

func TestRateIsPerServiceForAllItsRoutes(t *testing.T) {
	w, port := open(t), freePort(t)
	slow := spec.Rate{Events: 3, Per: spec.Duration(time.Hour)}
	table := web(t, w.serves(says("hi")))
	table.HTTP[0].Front.Rate = slow
	table.TCP = []route.TCP{{Listen: port, Access: spec.Public, Service: "prod.mail.exim", Rate: slow, Targets: []route.Target{w.says("hello")}}}
	w.must(table)
	c := browser(t, table.HTTPPort)
	count := map[int]int{}
	for i := range 5 {
		answer, _ := get(t, c, "http://www.example/")
		count[answer.StatusCode]++
		if i == 2 {
			again := table
			again.HTTP = append([]route.HTTP{}, table.HTTP...)
			at(&again, "more.example", spec.Front{})
			w.must(again) // another table forgets nothing
		}
		if answer.StatusCode == http.StatusTooManyRequests && answer.Header.Get("Retry-After") == "" {
			t.Error("it does not say when to come again")
		}
	}
	if count[http.StatusOK] != 3 || count[http.StatusTooManyRequests] != 2 {
		t.Errorf("of 5 requests: %v", count)
	}
	in := 0
	for range 5 {
		if word, err := read(t, port); err == nil && word == "hello" {
			in++
		}
	}
	if in != 3 {
		t.Errorf("%d of 5 connections came in", in)
	}
}

func TestListOfNetworksIsAnAccess(t *testing.T) {
	n := networks()
	list := spec.AccessOf([]string{"203.0.113.0/24", "2001:db8:9::/48", "172.16.0.0/12", "198.51.100.7"})
	if !list.Known() {
		t.Fatal(list)
	}
	for client, want := range map[string]bool{
		"203.0.113.77": true, "2001:db8:9::1": true, "198.51.100.7": true, "::ffff:198.51.100.7": true, "172.31.0.9": true,
		"198.51.100.8": false, "127.0.0.1": false, "172.17.0.5": false /* a container */, "10.87.3.5": false,
	} {
		if n.Allow(list, netip.MustParseAddr(client)) != want {
			t.Errorf("%s comes in: %v", client, !want)
		}
	}
	for _, bad := range []spec.Access{"10.0.0.1/8", "10.0.0.0/8,", "10.0.0.0/8 ", "example.org", "::ffff:10.0.0.0/104"} {
		if bad.Known() || n.Allow(bad, netip.MustParseAddr("10.0.0.1")) {
			t.Errorf("%q is taken for a list", bad)
		}
	}
}

func TestBodyMayHaveALimit(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})))
	table.HTTP[0].Front.Body = 1000
	w.must(table)
	for what, body := range map[string]func(n int) io.Reader{
		"known":   func(n int) io.Reader { return strings.NewReader(strings.Repeat("x", n)) },
		"chunked": func(n int) io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat("x", n))) },
	} {
		for n, want := range map[int]int{1000: http.StatusOK, 1001: http.StatusRequestEntityTooLarge} {
			answer, err := browser(t, table.HTTPPort).Post("http://www.example/", "text/plain", body(n))
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s, %d bytes: %d", what, n, answer.StatusCode)
			}
		}
	}
}

func TestTextsAreCompressedWhereTheAppDidNot(t *testing.T) {
	w := open(t)
	text := strings.Repeat("all work and no play ", 200)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html")
		h.Set("Etag", `"a"`)
		switch r.URL.Path {
		case "/image":
			h.Set("Content-Type", "image/png")
		case "/events":
			h.Set("Content-Type", "text/event-stream")
		case "/done":
			h.Set("Content-Encoding", "br")
		case "/keep":
			h.Set("Cache-Control", "no-transform")
		case "/part":
			h.Set("Content-Range", "bytes 0-1/2")
			w.WriteHeader(http.StatusPartialContent)
		case "/short":
			io.WriteString(w, "short")
			return
		}
		io.WriteString(w, text)
	})
	table := web(t, w.serves(handler))
	at(&table, "plain.example", spec.Front{Plain: true}, w.serves(handler))
	w.must(table)
	c := browser(t, table.HTTPPort)
	for _, x := range []struct{ url, accept, want string }{
		{"www.example/", "gzip, deflate, br, zstd", "zstd"},
		{"www.example/", "gzip", "gzip"},
		{"www.example/", "gzip;q=0, *", "zstd"},
		{"www.example/", "gzip;q=0, zstd; q=0.0", ""},
		{"www.example/", "identity", ""},
		{"www.example/", "gzip;q=1.0, zstd;q=0.1", "gzip"},
		{"www.example/", "identity;q=1, gzip;q=0.1", ""},
		{"www.example/", "identity;q=0.1, gzip;q=0.1", "gzip"},
		{"www.example/", "identity;q=0.5, *;q=0.1", ""},
		{"www.example/", "gzip;Q=0", ""},
		{"www.example/", "GZIP;Q=0.5 , zstd;q=0.4", "gzip"},
		{"www.example/image", "gzip", ""},
		{"www.example/events", "gzip", ""},
		{"www.example/done", "gzip", "br"},
		{"www.example/keep", "gzip", ""},
		{"www.example/part", "gzip", ""},
		{"www.example/short", "gzip", ""},
		{"plain.example/", "gzip", ""},
	} {
		answer, body := get(t, c, "http://"+x.url, "Accept-Encoding", x.accept)
		coding := answer.Header.Get("Content-Encoding")
		if coding != x.want {
			t.Errorf("%s for %q: coded %q; want %q", x.url, x.accept, coding, x.want)
			continue
		}
		var plain io.Reader = strings.NewReader(body)
		switch coding {
		case "gzip":
			r, err := gzip.NewReader(plain)
			if err != nil {
				t.Fatal(err)
			}
			plain = r
		case "zstd":
			r, err := zstd.NewReader(plain)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			plain = r
		default:
			continue
		}
		b, err := io.ReadAll(plain)
		if err != nil || string(b) != text || len(body) > len(text)/4 || answer.Header.Get("Vary") != "Accept-Encoding" || answer.Header.Get("Etag") != `W/"a~`+coding+`"` {
			t.Errorf("%s: %d bytes of %d, %v, %v", x.url, len(body), len(text), err, answer.Header)
		}
	}
}

// An app that speaks HTTP/2 only, as gRPC does, with its status in trailers.
func TestH2CReachesTheAppWithItsTrailers(t *testing.T) {
	w := open(t)
	table := web(t, w.servesTwo(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "Grpc-Status")
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("Te"), b)
		w.Header().Set("Grpc-Status", "0")
	}))
	table.HTTP[0].Front.Scheme = spec.H2C
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	plain := browser(t, table.HTTPPort)
	plain.Transport.(*http.Transport).Protocols = new(http.Protocols)
	plain.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
	for url, c := range map[string]*http.Client{
		"http://www.example/":  plain,
		"https://www.example/": secureBrowser(t, table.HTTPSPort, roots),
	} {
		r, err := http.NewRequest("POST", url, strings.NewReader("ask"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Te", "trailers")
		answer, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(b) != "HTTP/2.0 trailers ask" || answer.Trailer.Get("Grpc-Status") != "0" || answer.ProtoMajor != 2 {
			t.Errorf("%s: %q, %v, %v over %s", url, b, err, answer.Trailer, answer.Proto)
		}
	}
}

func TestClientComesBackToItsReplica(t *testing.T) {
	w := open(t)
	var targets []route.Target
	for i := range 4 {
		targets = append(targets, w.serves(says(fmt.Sprint(i))))
	}
	table := web(t, targets...)
	table.HTTP[0].Front.Sticky = spec.ByCookie
	at(&table, "address.example", spec.Front{Sticky: spec.ByAddress}, targets...)
	w.must(table)
	c := browser(t, table.HTTPPort)
	answer, first := get(t, c, "http://www.example/")
	cookies := answer.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || strings.Contains(cookies[0].Value, targets[0].Container[:12]) {
		t.Fatalf("cookies = %v", answer.Header.Values("Set-Cookie"))
	}
	_, fixed := get(t, c, "http://address.example/")
	others := map[string]bool{}
	for range 8 {
		answer, body := get(t, c, "http://www.example/", "Cookie", cookies[0].String())
		if body != first || len(answer.Cookies()) != 0 {
			t.Errorf("with the cookie: %q after %q, %v", body, first, answer.Cookies())
		}
		if _, body = get(t, c, "http://address.example/"); body != fixed {
			t.Errorf("by address: %q after %q", body, fixed)
		}
		_, body = get(t, c, "http://www.example/")
		others[body] = true
	}
	if len(others) < 2 {
		t.Errorf("without the cookie all came to %v", others)
	}
}

func TestReplicaThatIsSickIsNotAsked(t *testing.T) {
	w := open(t)
	var sick atomic.Bool
	answers := func(name string, sick *atomic.Bool) route.Target {
		return w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" && sick.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
			io.WriteString(w, name)
		}))
	}
	table := web(t, answers("a", &sick), answers("b", new(atomic.Bool)))
	table.HTTP[0].Front.Check = spec.Check{Path: "/health", Every: spec.Duration(20 * time.Millisecond)}
	w.must(table)
	c := browser(t, table.HTTPPort)
	asked := func(want int) func() error {
		return func() error {
			seen := map[string]bool{}
			for range 6 {
				_, body := get(t, c, "http://www.example/")
				seen[body] = true
			}
			if len(seen) != want {
				return fmt.Errorf("%v answered", seen)
			}
			return nil
		}
	}
	eventually(t, "both to be asked", asked(2))
	sick.Store(true)
	eventually(t, "the sick one to be left alone", asked(1))
	if told := w.status().Sick; len(told) != 1 || told[table.HTTP[0].Targets[0].Container] != "GET /health is answered with 500 Internal Server Error" {
		t.Errorf("told that %q are sick", told)
	}
	sick.Store(false)
	eventually(t, "both to be asked again", asked(2))
	if told := w.status().Sick; len(told) > 0 {
		t.Errorf("told that %q are sick", told)
	}
}

// tellsProxy is a container that wants the PROXY protocol and says whom it heard of.
func (w *world) tellsProxy(answer func(net.Conn, string)) route.Target {
	return w.container(func(c net.Conn) {
		defer c.Close()
		in := bufio.NewReader(c)
		header, err := proxyproto.Read(in)
		if err != nil {
			return
		}
		if _, err := http.ReadRequest(in); answer == nil && err == nil {
			body := header.SourceAddr.(*net.TCPAddr).IP.String()
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			return
		}
		if answer != nil {
			answer(c, header.SourceAddr.(*net.TCPAddr).IP.String())
		}
	})
}

func TestProxyProtocolGoesOutAndComesIn(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	port := freePort(t)
	table := web(t, w.tellsProxy(nil))
	table.HTTP[0].Front.Proxy = spec.ProxyV2
	table.TCP = []route.TCP{{Listen: port, Access: "203.0.113.0/24", Service: "prod.mail.exim", Proxy: spec.ProxyV2, Targets: []route.Target{w.container(func(c net.Conn) {
		defer c.Close()
		header, err := proxyproto.Read(bufio.NewReader(c))
		if err == nil {
			io.WriteString(c, header.SourceAddr.String())
		}
	})}}}
	w.must(table)
	from := func(client string, at uint16) net.Conn {
		c := dial(t, at)
		h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), c.RemoteAddr())
		if _, err := h.WriteTo(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	if b, err := io.ReadAll(from("203.0.113.9:4711", port)); err != nil || string(b) != "203.0.113.9:4711" {
		t.Errorf("over TCP: %q, %v", b, err)
	}
	if b, err := io.ReadAll(from("198.51.100.9:4711", port)); err == nil && len(b) > 0 {
		t.Errorf("access is judged by the proxy's address: %q", b)
	}
	for _, client := range []string{"203.0.113.9", "203.0.113.10"} {
		c := from(client+":4711", table.HTTPPort)
		for range 2 {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")
			if status, body := answerOf(t, c); status != http.StatusOK || body != client {
				t.Errorf("over HTTP: %d %q; want %s", status, body, client)
			}
		}
	}
	c := dial(t, table.HTTPPort) // says nothing of whose it is
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n")
	if b, err := io.ReadAll(c); err == nil || len(b) > 0 {
		t.Errorf("without the protocol: %q, %v", b, err)
	}
}

// Nobody else is believed: his words are his own, and go to the app.
func TestWhoIsNotListedCannotSayWhoseConnectionItIs(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	closed, public := freePort(t), freePort(t)
	table := web(t, w.serves(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	table.TCP = []route.TCP{
		{Listen: closed, Access: "203.0.113.0/24", Service: "prod.mail.exim", Targets: []route.Target{w.says("come in")}},
		{Listen: public, Access: spec.Public, Service: "prod.mail.exim", Targets: []route.Target{w.echoes()}},
	}
	w.must(table)
	lie, err := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4711}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}).Format()
	if err != nil {
		t.Fatal(err)
	}
	ask := "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"
	tell := func(port uint16) ([]byte, error) {
		stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
		c, err := stranger.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, err
		}
		defer c.Close()
		c.Write(lie)
		io.WriteString(c, ask)
		c.(*net.TCPConn).CloseWrite()
		return io.ReadAll(c)
	}
	if got, err := tell(public); err != nil || string(got) != string(lie)+ask {
		t.Errorf("a stranger's words arrived as % x, %v", got, err)
	}
	if got, err := tell(closed); !errors.Is(err, syscall.ECONNRESET) || len(got) > 0 {
		t.Errorf("a stranger was believed: %q, %v", got, err)
	}
	if got, _ := tell(table.HTTPPort); strings.HasPrefix(string(got), "HTTP/1.1 200") {
		t.Errorf("a stranger was believed over HTTP: %q", got)
	}
}

// heard keeps what a Recorder is told.
type heard struct {
	mu          sync.Mutex
	requests    []ingress.Request
	connections []ingress.Connection
}

func (h *heard) Request(r ingress.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
}

func (h *heard) Connection(c ingress.Connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connections = append(h.connections, c)
}

func TestRecorderHearsOfEverything(t *testing.T) {
	h := &heard{}
	w, port := open(t, func(s *ingress.Settings) { s.Recorder = h }), freePort(t)
	table := web(t, w.serves(says("12345")))
	table.TCP = []route.TCP{tcpRoute(port, w.says("hello"))}
	w.must(table)
	answer, _ := get(t, browser(t, table.HTTPPort), "http://www.example/path?secret=1")
	get(t, browser(t, table.HTTPPort), "http://nobody.example/")
	read(t, port)
	eventually(t, "two requests and a connection", func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.requests) != 2 || len(h.connections) != 1 {
			return fmt.Errorf("%+v, %+v", h.requests, h.connections)
		}
		return nil
	})
	if h.requests[0].Path != "/path" { // a request is over for its client before it is here
		slices.Reverse(h.requests)
	}
	r := h.requests[0]
	if r.Service != "prod.web.www" || r.Path != "/path" || r.Status != 200 || r.Out != 5 || r.ID != answer.Header.Get("X-Request-Id") || !r.Client.IsLoopback() {
		t.Errorf("request %+v", r)
	}
	if h.requests[1].Service != "" || h.requests[1].Status != http.StatusNotFound {
		t.Errorf("refusal %+v", h.requests[1])
	}
	if c := h.connections[0]; c.Service != "prod.mail.exim" || c.Out != 5 || c.Denied {
		t.Errorf("connection %+v", c)
	}
}
