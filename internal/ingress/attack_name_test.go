package ingress_test

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"havre/internal/ingress"
	"havre/internal/spec"
)

// answered is all that is answered to what is said on a new connection.
func answered(t testing.TB, port uint16, said string) string {
	t.Helper()
	c := dial(t, port)
	io.WriteString(c, said)
	b, _ := io.ReadAll(c)
	return string(b)
}

// A trusted proxy writes addresses in many forms. Who is told in none of them
// is a stranger, and not the proxy.
func TestClientOfATrustedProxyIsReadInAllFormsOrIsNobody(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	seen := make(chan http.Header, 1)
	table := web(t, w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })))
	c := browser(t, table.HTTPPort)
	for _, name := range []string{"X-Forwarded-For", "Forwarded"} {
		for given, want := range map[string]string{
			"203.0.113.7": "203.0.113.7", "203.0.113.7:4711": "203.0.113.7", `"203.0.113.7:4711"`: "203.0.113.7", `"203.0.113.7:_port"`: "203.0.113.7",
			`"[2001:db8::7]:4711"`: "2001:db8::7", `"[2001:db8::7]"`: "2001:db8::7", `"2001:db8::7"`: "2001:db8::7", `"[fe80::1%eth0]"`: "fe80::1",
			`"[::ffff:203.0.113.7]:1"`: "203.0.113.7",
			"unknown":                  "", "_hidden": "", "localhost": "", "127.0.0.1.example": "", "1.2.3": "", "0x7f.0.0.1": "", "127.0.0.1:": "", `"127.0.0.1:http"`: "", `"[127.0.0.1"`: "", `"[::1]x"`: "", `""`: "", "-": "",
		} {
			if name == "Forwarded" {
				given = "for=" + given
			} else if strings.HasPrefix(given, `"[`) && len(given)%2 == 0 {
				given = strings.Trim(given, `"`)
			}
			table.HTTP[0].Access = spec.Public
			w.must(table)
			get(t, c, "http://www.example/", name, given)
			if want == "" {
				want = "unknown"
			}
			if got, _, _ := strings.Cut((<-seen).Get("X-Forwarded-For"), ","); got != want {
				t.Errorf("%s: %s: the app was told of %q; want %q", name, given, got, want)
			}
			table.HTTP[0].Access = "127.0.0.0/8" // the proxy's own network
			w.must(table)
			if answer, _ := get(t, c, "http://www.example/", name, given); answer.StatusCode != http.StatusForbidden {
				t.Errorf("%s: a stranger told as %s: %d", name, given, answer.StatusCode)
			}
		}
	}
	for _, given := range []string{"", " ", ","} {
		if answer, _ := get(t, c, "http://www.example/", "X-Forwarded-For", given); answer.StatusCode != http.StatusForbidden {
			t.Errorf("a stranger told as %q: %d", given, answer.StatusCode)
		}
	}
}

// To a CGI "X.Forwarded.For" and "X-Forwarded-For" are one name. So no header
// reaches an app that it could take for one of ours.
func TestNamesThatACGITakesForOursAreDropped(t *testing.T) {
	w := open(t)
	seen := make(chan http.Header, 1)
	table := web(t, w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })))
	w.must(table)
	for _, ours := range []string{"X-Forwarded-For", "X-Forwarded-User", "X-Forwarded-Prefix", "X-Real-Ip", "X-Request-Id", "Transfer-Encoding", "Content-Length", "Proxy-Authorization"} {
		for _, mark := range "_.!#$%&'*+^`|~" {
			for _, te := range []string{"", "TE: trailers\r\n"} { // the second is for net/http's server
				name := strings.ReplaceAll(ours, "-", string(mark))
				answered(t, table.HTTPPort, "GET / HTTP/1.1\r\nHost: www.example\r\n"+name+": 66666666\r\n"+te+"Connection: close\r\n\r\n")
				for got, values := range <-seen {
					if strings.Contains(values[0], "66666666") {
						t.Errorf("%s reached the app as %s: %s", name, got, values[0])
					}
				}
			}
		}
	}
}

// What is escaped stays so: an app may tell "%2F" from "/".
func TestPathReachesTheAppAsItIsEscaped(t *testing.T) {
	w := open(t)
	table := web(t, w.tells("root"))
	at(&table, "paths.example", spec.Front{}, w.tells("paths"))
	at(&table, "paths.example/mail", spec.Front{Strip: true}, w.tells("mail"))
	w.must(table)
	for path, want := range map[string]string{
		"/a%2Fb": "root /a%2Fb ", "/a%2Fb|c": "root /a%2Fb%7Cc ", "/api/queues/%2F/{q}": "root /api/queues/%2F/%7Bq%7D ", "/caf\u00e9%2Fx": "root /caf%C3%A9%2Fx ",
		"/a%2F..%2Fb^": "root /a%2F..%2Fb%5E ", "/a%3Bb|": "root /a%3Bb%7C ", "/a%2Bb|+": "root /a%2Bb%7C+ ", "/a%2fb\"<>": "root /a%2fb%22%3C%3E ", `/a%2F\b`: "root /a%2F%5Cb ",
		"/a%20b%2F|?x=%2F|": "root /a%20b%2F%7C?x=%2F| ", "/m\u00fcnchen": "root /m%C3%BCnchen ", "/%41%2F|": "root /%41%2F%7C ",
	} {
		answer := answered(t, table.HTTPPort, "GET "+path+" HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
		if !strings.Contains(answer, want) {
			t.Errorf("%s: %q; want %q", path, answer, want)
		}
	}
	for path, want := range map[string]string{"/mail/a%2Bb|": "mail /a%2Bb%7C /mail", "/%6dail/a%2Bb": "mail /a%2Bb /mail", "/mail/@scope%2fpkg": "mail /@scope%2fpkg /mail"} {
		answer := answered(t, table.HTTPPort, "GET "+path+" HTTP/1.1\r\nHost: paths.example\r\nConnection: close\r\n\r\n")
		if !strings.Contains(answer, want) {
			t.Errorf("%s: %q; want %q", path, answer, want)
		}
	}
}

// Beside paths an address is refused only where two readings lead to two services.
func TestEverydayAddressesPassBesidePaths(t *testing.T) {
	w := open(t)
	table := web(t, w.tells("root"))
	at(&table, "www.example/mail", spec.Front{}, w.tells("mail"))
	at(&table, "www.example/mail/admin", spec.Front{}, w.tells("admin"))
	w.must(table)
	for path, want := range map[string]string{
		"/signin;returnPath=x": "root", "/app;jsessionid=1A2B": "root", "/@scope%2fpkg": "root", "/projects/group%2Fname": "root", "/files/100%25.txt": "root",
		"/web/https://example.org/": "root", "/a//b.js": "root", "/.well-known/x": "root", "/a/../b": "root", "/x%5Cy": "root", "/a%2500": "400", "/a%00": "400",
		"/mail/a;v=1/b": "mail", "/mail/x%2fy": "mail", "/mail//x": "mail", "/mail/a/../b": "mail", "/mail/50%25": "mail", "/mail/%2e/x": "mail", "/mail/admin/a;b": "admin",
		"/mail;x/y": "400", "/mail;/admin": "400", "/mail%2fadmin": "400", "/mail/..;/x": "400", "/mail//admin": "400", "//mail": "400", "/a/..//mail": "400", "/mail%252fadmin": "400",
		"/mail/%252e%252e/x": "400", "/x%2f..%2fmail": "400", "/x%5c..%5cmail": "400", "/%256dail": "400", "/mail/x/%2e%2e/admin": "400", "//h/mail": "400", "/mai%25252525256c": "400",
		"/x/" + strings.Repeat("a", 9<<10): "root", "/x//" + strings.Repeat("a", 9<<10): "400",
	} {
		answer := answered(t, table.HTTPPort, "GET "+path+" HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n")
		status, _, _ := strings.Cut(strings.TrimPrefix(answer, "HTTP/1.1 "), " ")
		if want != status && !(status == "200" && strings.Contains(answer, "\n"+want+" "+path[:min(len(path), 40)])) {
			t.Errorf("%.40s: %.400q; want %s", path, answer, want)
		}
	}
}
