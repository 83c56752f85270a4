package ingress_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

// A proxy that is trusted may say Forwarded instead of X-Forwarded-For. What
// its client wrote there, before it or wrongly, does not count; who is not named
// then is not the proxy.
func TestForwardedOfTrustedProxiesIsBelieved(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	seen := make(chan http.Header, 1)
	table := web(t, w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })))
	w.must(table)
	c := browser(t, table.HTTPPort)
	const unknown = `for=unknown;proto=http;host="www.example"`
	for given, want := range map[string]string{
		`for=203.0.113.7`: `for=203.0.113.7;proto=http;host="www.example"`,
		`for=6.6.6.6, for=203.0.113.7;proto=https;host=shop.example`:     `for=203.0.113.7;proto=https;host="shop.example"`,
		`For="203.0.113.7:4711";Proto=HTTPS, for=127.0.0.9;proto=http`:   `for=203.0.113.7;proto=https;host="www.example"`,
		`for="[2001:db8::7]:4711";by=127.0.0.1;host="shop.example:8443"`: `for="[2001:db8::7]";proto=http;host="shop.example:8443"`,
		`for="6.6.6.6, for=203.0.113.7;proto=https`:                      unknown, // a quote of the client's that does not end
		`for=6.6.6.6;x="\", for=203.0.113.7;proto=https`:                 unknown,
		`for="6.6.6.6\", for=203.0.113.7;proto=https;y="`:                unknown,
		`for=6.6.6.6 for=6.6.6.7`:                                        unknown,
		`for=6.6.6.6, for=unknown`:                                       unknown,
		`for=6.6.6.6;proto=https, for=_hidden`:                           unknown,
		`for=6.6.6.6, `:                                                  unknown,
		`for=`:                                                           unknown,
		`proto=https`:                                                    `for=unknown;proto=https;host="www.example"`,
		`for=203.0.113.7;host="evil.example\"x"`:                         unknown,
		`for=203.0.113.7;host="evil/example"`:                            `for=203.0.113.7;proto=http;host="www.example"`,
	} {
		get(t, c, "http://www.example/", "Forwarded", given)
		if got := (<-seen).Get("Forwarded"); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", given, got, want)
		}
	}
	get(t, c, "http://www.example/", "Forwarded", "for=6.6.6.6;proto=https", "X-Forwarded-For", "203.0.113.7")
	if got, want := (<-seen).Get("Forwarded"), `for=203.0.113.7;proto=http;host="www.example"`; got != want {
		t.Errorf("beside X-Forwarded-For: %s; want %s", got, want)
	}
}

// The name of the TLS connection and that of the request must lead to the same
// certificate, however the second is said.
func TestHostIsTheOneOfTheConnectionHoweverItIsSaid(t *testing.T) {
	w := open(t)
	app, target := w.strict()
	table := web(t, target)
	for _, host := range []string{"secret.example", "*.wild.example"} {
		table.HTTP = append(table.HTTP, route.HTTP{Host: host, Access: spec.Public, Service: "prod.web.secret", Targets: table.HTTP[0].Targets})
	}
	roots := certified(t, &table, []string{"www.example"}, []string{"secret.example"}, []string{"*.wild.example"})
	w.must(table)
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: www.example":                                       http.StatusOK,
		"GET / HTTP/1.1\r\nHost: WWW.EXAMPLE.:444":                                  http.StatusOK,
		"GET / HTTP/1.1\r\nHost: secret.example":                                    http.StatusMisdirectedRequest,
		"GET / HTTP/1.1\r\nHost: SECRET.example.":                                   http.StatusMisdirectedRequest,
		"GET / HTTP/1.1\r\nHost: secret.example:443":                                http.StatusMisdirectedRequest,
		"GET https://secret.example/ HTTP/1.1\r\nHost: www.example":                 http.StatusMisdirectedRequest,
		"GET https://www.example@secret.example/ HTTP/1.1\r\nHost: www.example":     http.StatusMisdirectedRequest,
		"GET / HTTP/1.1\r\nHost: a.wild.example":                                    http.StatusMisdirectedRequest,
		"GET / HTTP/1.1\r\nHost: www.example.evil":                                  http.StatusNotFound,
		"GET / HTTP/1.1\r\nHost: www.example:secret.example":                        http.StatusNotFound,
		"GET / HTTP/1.1\r\nHost: www.example\r\nX-Forwarded-Host: secret.example":   http.StatusOK,
		"GET / HTTP/1.1\r\nHost: www.example\r\nX-Original-URL: /x\r\nX-Host: evil": http.StatusOK,
		"GET / HTTP/1.1\r\nHost: ":                                                  http.StatusNotFound,
	} {
		c := tls.Client(dial(t, table.HTTPSPort), &tls.Config{ServerName: "www.example", RootCAs: roots})
		fmt.Fprintf(c, "%s\r\nConnection: close\r\n\r\n", request)
		if status, _ := answerOf(t, c); status != want {
			t.Errorf("%q: %d; want %d", request, status, want)
		}
		_, heads, wrong := app.take()
		if want != http.StatusOK && len(heads) > 0 || len(wrong) > 0 || strings.Contains(strings.Join(heads, "\n"), "secret") {
			t.Errorf("%q: the app saw %q, wrong %q", request, heads, wrong)
		}
	}
}

// Where paths lead to different apps, no spelling of a path leads to another
// one than it says. These are bytes that no well-behaved client sends.
func TestNoSpellingOfAPathLeadsElsewhere(t *testing.T) {
	w := open(t)
	admin, adminTarget := w.strict()
	_, target := w.strict()
	table := web(t, target)
	at(&table, "www.example/open", spec.Front{}, target)
	at(&table, "www.example/admin", spec.Front{}, adminTarget)
	table.HTTP[2].Access = spec.Access("203.0.113.0/24") // not for us
	at(&table, "www.example/cut", spec.Front{Strip: true}, adminTarget)
	w.must(table)
	for _, path := range []string{
		"/open/../admin/x", "/open/%2e%2e/admin/x", "/open/.%2e/admin/x", "/open/%2E./admin/x", "/open/..%2fadmin/x", "/open/..%5cadmin/x",
		`/open\..\admin\x`, `/open/..\admin/x`, "//admin/x", "/.//admin/x", "/./admin/x", "///admin/x", "/%2fadmin/x", "/open;/../admin/x",
		"/open/..;/admin/x", "/open/%252e%252e/admin/x", "/open/..%00/admin/x", "/%61dmin/x", "/admin", "/admin/", "/admin/x", "/admin?/open", "/admin#/open",
		"http://www.example/admin/x", "http://www.example//admin/x", "/cut/../admin/x", "/cut/%2e%2e/admin/x", "/cut//admin", `/cut/\admin`, "http:/admin/x",
	} {
		shout(t, table.HTTPPort, "GET "+path+" HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
		if seen, _, wrong := admin.take(); len(seen)+len(wrong) > 0 {
			t.Errorf("%s: the app saw %q, wrong %q", path, seen, wrong)
		}
	}
	if shout(t, table.HTTPPort, "GET /cut/x HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n"); len(fst(admin.take())) != 1 {
		t.Error("the way that is open does not lead there")
	}
}

func fst(seen, _, _ []string) []string { return seen }
