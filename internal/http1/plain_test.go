package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

const get = "GET /a?b=c HTTP/1.1\r\nHost: www.example\r\nUser-Agent: t\r\nx-two:  1 \r\nX-Two: 2\r\n\r\n"

// plain reads a request where others have been before.
func plain(text string) (*http.Request, int) {
	s := new(Server)
	for _, before := range []string{get, "POST /%41?a HTTP/1.1\r\nHost: before\r\nContent-Length: 3\r\nX-Two: 3\r\nCookie: a\r\n\r\nabc"} {
		t := s.turn(new(http.Request))
		t.plain([]byte(before))
		s.forget(t)
	}
	t := s.turn(new(http.Request))
	size := t.plain([]byte(text))
	return &t.request, size
}

func TestPlainRequestsAreTaken(t *testing.T) {
	for text, body := range map[string]string{
		get:       "",
		get + get: "",
		"GET /?a=/%%? HTTP/1.1\r\nHost: a\r\n\r\n":                                      "",
		"GET /a/.b/../-_Z? HTTP/1.1\r\nHost: a\r\n\r\n":                                 "",
		"HEAD /%2f HTTP/1.1\r\nhost: a:80\r\nConnection: Keep-Alive\r\n\r\n":            "",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1":      "abc",
		"DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nCookie: a=b; c=d\r\n\r\n": "",
	} {
		r, size := plain(text)
		if size == 0 {
			t.Errorf("%q is not taken", text)
			continue
		}
		got := make([]byte, len(body)+1)
		n, err := r.Body.Read(got)
		if got = got[:n]; err != io.EOF {
			t.Errorf("%q: the end of the body is not said with its last bytes: %v", text, err)
		}
		if string(got) != body || !strings.HasSuffix(text[:size], body) {
			t.Errorf("%q: body %q", text, got)
		}
		sameAsNetHTTP(t, []byte(text))
	}
}

func TestWhatIsNotPlainIsLeftToNetHTTP(t *testing.T) {
	head := "GET / HTTP/1.1\r\nHost: a\r\n"
	for _, text := range []string{
		"", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET // HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", "get / HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		head + "Host: a\r\n\r\n", head + "host: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: \r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
		head + " folded: x\r\n\r\n", head + "X: a\r\n b\r\n\r\n", head + "X : a\r\n\r\n", head + ": a\r\n\r\n", head + "X\r\n\r\n",
		head + "X: a\rb\r\n\r\n", head + "X: a\nb\r\n\r\n", head + "X: a\x00b\r\n\r\n", head + "X: \x80\r\n\r\n", head + "X: \x7f\r\n\r\n",
		head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", head + "transfer-encoding:\r\n\r\n", head + "Content-Length: +1\r\n\r\na",
		head + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", head + "Content-Length: 1, 1\r\n\r\na", head + "Content-Length:\r\n\r\n",
		head + "Content-Length: 2\r\n\r\na", head + "Content-Length: 99999999999999999999\r\n\r\na", head + "Content-Length: 0x1\r\n\r\na",
		head + "Connection: close\r\n\r\n", head + "Connection: keep-alive, X\r\n\r\n", head + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		head + "Upgrade: h2c\r\n\r\n", head + "Expect: 100-continue\r\n\r\n", head + "Trailer: X\r\n\r\n", head + "TE: trailers\r\n\r\n",
		head + "Pragma: no-cache\r\n\r\n", head + "HTTP2-Settings: x\r\n\r\n",
	} {
		if _, size := plain(text); size != 0 {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzPlainIsWhatNetHTTPUnderstands: no request has a second meaning.
func FuzzPlainIsWhatNetHTTPUnderstands(f *testing.F) {
	f.Add([]byte(get))
	f.Add([]byte("POST /a%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcd"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\nConnection: keep-alive\r\nConnection: keep-alive\r\n\r\n1234567"))
	f.Add([]byte("GET /a/?? HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("GET /?;a=%zz HTTP/1.1\r\nHost: [::1]:80\r\nKeep-Alive:\t5\r\nContent_Length: 9\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) { sameAsNetHTTP(t, b) })
}

func sameAsNetHTTP(t *testing.T, b []byte) {
	t.Helper()
	got, size := plain(string(b))
	if size == 0 {
		return
	}
	in := bufio.NewReader(bytes.NewReader(b))
	want, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("%q: net/http refuses it: %v", b, err)
	}
	gotBody, _ := io.ReadAll(got.Body)
	wantBody, err := io.ReadAll(want.Body)
	if err != nil {
		t.Fatalf("%q: net/http reads no body: %v", b, err)
	}
	rest, _ := io.ReadAll(in)
	if !bytes.Equal(gotBody, wantBody) || string(rest) != string(b[size:]) {
		t.Errorf("%q: body %q, then %q; net/http has %q, then %q", b, gotBody, b[size:], wantBody, rest)
	}
	if want.Close || len(want.TransferEncoding) > 0 || want.Trailer != nil {
		t.Errorf("%q: net/http closes, or has another encoding", b)
	}
	got.Body, want.Body = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q:\n%+v, %+v\nnet/http has\n%+v, %+v", b, got, got.URL, want, want.URL)
	}
}
