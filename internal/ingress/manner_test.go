package ingress_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"havre/internal/route"
	"havre/internal/spec"
)

// raw is a container that notes each request's head as it came and answers it
// with the same bytes each time.
func (w *world) raw(heads chan<- string, answer string) route.Target {
	return w.container(func(c net.Conn) {
		defer c.Close()
		for in := bufio.NewReader(c); ; {
			var head strings.Builder
			for !strings.HasSuffix(head.String(), "\r\n\r\n") {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				head.WriteString(line)
			}
			if strings.Contains(head.String(), "chunked") {
				io.ReadFull(in, make([]byte, len("0\r\n\r\n")))
			}
			heads <- head.String()
			io.WriteString(c, answer)
		}
	})
}

// There are clients and apps that look for a name as they know it.
func TestNamesStayAsTheyWereWritten(t *testing.T) {
	const plain, pieces = "Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
	asked := []string{"X-CSRF-TOKEN", "DNT", "sec-ch-ua", "x-lower", "Sec-WebSocket-Key", "SOAPAction"}
	replied := []string{"ETag", "X-XSS-Protection", "WWW-Authenticate", "x-lower", "Sec-WebSocket-Accept"}
	for what, c := range map[string]struct{ fields, status, end string }{
		"plain":         {"", "200 OK", plain},
		"by net/http":   {"TE: trailers\r\n", "200 OK", plain},
		"in pieces":     {"", "200 OK", pieces},
		"with a body":   {"Transfer-Encoding: chunked\r\n", "200 OK", pieces},
		"compressed":    {"Accept-Encoding: gzip\r\n", "200 OK", "Content-Type: text/plain\r\nContent-Length: 2000\r\n\r\n" + strings.Repeat("x", 2000)},
		"not changed":   {"", "304 Not Modified", "\r\n"},
		"early, then":   {"", "103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK", plain},
		"an upgrade":    {"Connection: Upgrade\r\nUpgrade: websocket\r\n", "101 Switching Protocols", "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
		"to its cookie": {"Cookie: a=b\r\n", "200 OK", plain},
	} {
		t.Run(what, func(t *testing.T) {
			w, heads, answer := open(t), make(chan string, 10), "HTTP/1.1 "+c.status+"\r\n"
			for _, name := range replied {
				answer += name + ": \"1\"\r\n"
			}
			table := web(t, w.raw(heads, answer+c.end))
			roots := certified(t, &table, []string{"www.example"})
			w.must(table)
			for _, secure := range []bool{false, true} {
				var con net.Conn = dial(t, table.HTTPPort)
				if secure {
					con = tls.Client(dial(t, table.HTTPSPort), &tls.Config{ServerName: "www.example", RootCAs: roots})
				}
				in := bufio.NewReader(con)
				for range 2 { // the second is for net/http's server from its beginning, where that has it
					request := "POST / HTTP/1.1\r\nHost: www.example\r\n" + c.fields
					for _, name := range asked {
						request += name + ": 1\r\n"
					}
					io.WriteString(con, request+"\r\n")
					if strings.Contains(c.fields, "chunked") {
						io.WriteString(con, "0\r\n\r\n")
					}
					saw := <-heads
					for _, name := range asked {
						if !strings.Contains(saw, "\n"+name+": 1\r\n") {
							t.Errorf("secure %v: the app did not see %s:\n%s", secure, name, saw)
						}
					}
					got, err := theHead(in)
					for _, name := range replied {
						if !strings.Contains(got, "\n"+name+": ") {
							t.Errorf("secure %v: the client did not see %s (%v):\n%s", secure, name, err, got)
						}
					}
					if strings.HasPrefix(c.status, "101") || what == "compressed" || t.Failed() {
						break
					}
				}
			}
		})
	}
}

// theHead reads the head of the next answer that is not an early one, and a body of
// two bytes or a piece of two.
func theHead(in *bufio.Reader) (string, error) {
	for {
		var raw bytes.Buffer
		answer, err := http.ReadResponse(bufio.NewReader(io.TeeReader(oneByOne{in}, &raw)), nil)
		if err != nil {
			return raw.String(), err
		}
		if answer.StatusCode >= 200 {
			io.Copy(io.Discard, answer.Body)
		}
		if answer.StatusCode >= 200 || answer.StatusCode == http.StatusSwitchingProtocols {
			return raw.String(), nil
		}
	}
}

// oneByOne reads nothing ahead.
type oneByOne struct{ io.Reader }

func (o oneByOne) Read(p []byte) (int, error) { return o.Reader.Read(p[:min(len(p), 1)]) }

// Who asks by HTTP/2 without a body has none at the app either.
func TestRequestWithoutABodyByHTTP2HasNone(t *testing.T) {
	w, heads := open(t), make(chan string, 10)
	table := web(t, w.raw(heads, fine))
	bodies := make(chan int64, 10)
	at(&table, "two.example", spec.Front{Scheme: spec.H2C}, w.servesTwo(func(_ http.ResponseWriter, r *http.Request) { bodies <- r.ContentLength }))
	roots := certified(t, &table, []string{"www.example", "two.example"})
	w.must(table)
	c := secureBrowser(t, table.HTTPSPort, roots)
	for method, want := range map[string]string{"GET": "", "DELETE": "", "POST": "Content-Length: 0", "HEAD": ""} {
		for host, says := range map[string]func() string{
			"www.example": func() string {
				for line := range strings.SplitSeq(<-heads, "\r\n") {
					if strings.HasPrefix(line, "Content-Length") || strings.HasPrefix(line, "Transfer-Encoding") {
						return line
					}
				}
				return ""
			},
			"two.example": func() string {
				if n := <-bodies; n != 0 {
					return fmt.Sprint(n)
				}
				return want
			},
		} {
			r, err := http.NewRequest(method, "https://"+host+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.ProtoMajor != 2 {
				t.Fatalf("by %s", answer.Proto)
			}
			if got := says(); got != want {
				t.Errorf("%s at %s: %q; want %q", method, host, got, want)
			}
		}
	}
}

// So a request that the app did not begin with may be asked again.
func TestAppThatEndsEachConnectionByGOAWAYServesAll(t *testing.T) {
	w := open(t)
	table := web(t)
	at(&table, "two.example", spec.Front{Scheme: spec.H2C}, w.container(goesAway))
	roots := certified(t, &table, []string{"two.example"})
	w.must(table)
	c := secureBrowser(t, table.HTTPSPort, roots)
	for n := range 20 {
		if answer, _ := get(t, c, "https://two.example/"); answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
			t.Errorf("request %d: %s by %s", n, answer.Status, answer.Proto)
		}
	}
}

// goesAway speaks HTTP/2, and answers the first stream of a connection alone; its
// GOAWAY comes with the next.
func goesAway(c net.Conn) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(c, c)
	f.WriteSettings()
	answered := false
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				f.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			if answered {
				f.WriteGoAway(1, http2.ErrCodeNo, nil)
				return
			}
			answered = true
			var b bytes.Buffer
			hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: true})
		}
	}
}

// Whoever says two ends of a request may have said two requests. RFC 9112, 6.1.
func TestConnectionOfARequestWithTwoEndsIsClosed(t *testing.T) {
	w := open(t)
	_, target := w.strict()
	table := web(t, target)
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	const line = "POST /a HTTP/1.1\r\nHost: www.example\r\n"
	const chunks = line + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
	const length = line + "Content-Length: 2\r\n\r\nhi"
	const twice = line + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
	large := strings.Repeat("x", 200<<10)
	for what, requests := range map[string][]string{
		"both":                      {twice},
		"both, the other way round": {line + "transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n"},
		"both, later":               {chunks, length, chunks, twice},
		"chunks and lengths":        {chunks, length, length, chunks, chunks + length + chunks, "", "", length},
		"a large body, then both":   {line + fmt.Sprintf("Content-Length: %d\r\nTE: trailers\r\n\r\n", len(large)) + large, twice},
		"a large body in chunks":    {line + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", len(large)) + large + "\r\n0\r\n\r\n", chunks},
	} {
		for _, secure := range []bool{false, true} {
			var con net.Conn = dial(t, table.HTTPPort)
			if secure {
				con = tls.Client(dial(t, table.HTTPSPort), &tls.Config{ServerName: "www.example", RootCAs: roots})
			}
			in := bufio.NewReader(con)
			twofold := false
			var last *http.Response
			for n, r := range requests {
				io.WriteString(con, r)
				var err error
				if last, err = http.ReadResponse(in, nil); err != nil || last.StatusCode != http.StatusOK {
					t.Fatalf("%s, secure %v: %d: %v, %v", what, secure, n, last, err)
				}
				io.Copy(io.Discard, last.Body)
				if twofold = strings.Contains(what, "both") && n == len(requests)-1; last.Close != twofold {
					t.Errorf("%s, secure %v: closed after %d: %v", what, secure, n, last.Close)
				}
			}
			if twofold {
				con.SetDeadline(time.Now().Add(5 * time.Second))
				if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("%s, secure %v: it stays open: %v", what, secure, err)
				}
			}
		}
	}
}

// An app knows its own tags alone; that of what we compressed is ours.
func TestTagOfACompressedAnswerIsTheAppsOwnWhenItComesBack(t *testing.T) {
	w := open(t)
	asked := make(chan http.Header, 1)
	tag := `"abc,1"`
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		w.Header().Set("Etag", tag)
		w.Header().Set("Content-Type", "text/plain")
		if strings.Contains(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, strings.Repeat("x", 2000))
	})))
	w.must(table)
	c := browser(t, table.HTTPPort)
	for _, coding := range []string{"zstd", "gzip"} {
		answer, _ := get(t, c, "http://www.example/", "Accept-Encoding", coding)
		<-asked
		marked := answer.Header.Get("Etag")
		if !strings.HasPrefix(marked, `W/"abc,1`) || marked == `W/"abc,1"` {
			t.Fatalf("the client was told %s", marked)
		}
		for given, want := range map[string]string{
			marked: tag, `"x", ` + marked + `, W/"y"`: `"x", ` + tag + `, W/"y"`, "*": "*", `W/"own"`: `W/"own"`, `"a~gzip"`: `"a~gzip"`, `W/"broken~gzip`: `W/"broken~gzip`, tag: tag,
		} {
			for _, name := range []string{"If-Match", "If-None-Match"} {
				answer, _ := get(t, c, "http://www.example/", name, given, "Accept-Encoding", coding)
				if got := (<-asked).Get(name); got != want {
					t.Errorf("%s: %s came as %s; want %s", name, given, got, want)
				}
				if name == "If-None-Match" && given == marked && (answer.StatusCode != http.StatusNotModified || answer.Header.Get("Etag") != marked) {
					t.Errorf("not changed: %s, tag %s; want %s", answer.Status, answer.Header.Get("Etag"), marked)
				}
			}
		}
		get(t, c, "http://www.example/", "If-Range", marked)
		if got := (<-asked).Get("If-Range"); got != marked {
			t.Errorf("a range of another form is asked for by %s", got)
		}
	}
	tag = `W/"own"`
	if answer, _ := get(t, c, "http://www.example/", "Accept-Encoding", "gzip"); answer.Header.Get("Etag") != tag {
		t.Errorf("the app's own weak tag became %s", answer.Header.Get("Etag"))
	}
}

// What an app said before it died is passed on, and the end is seen to lack.
func TestWhatCameBeforeAnAppDiedIsPassedOn(t *testing.T) {
	for what, said := range map[string]string{
		"in a chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n5\r\nab", "of a length": "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi",
	} {
		w := open(t)
		table := web(t, w.container(func(c net.Conn) {
			defer c.Close()
			bufio.NewReader(c).ReadString('\n')
			io.WriteString(c, said)
		}))
		w.must(table)
		for _, fields := range []string{"", "TE: trailers\r\n"} { // the second is for net/http's server
			got := answered(t, table.HTTPPort, "GET / HTTP/1.1\r\nHost: www.example\r\n"+fields+"\r\n")
			if !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "hi") || strings.HasSuffix(got, "0\r\n\r\n") {
				t.Errorf("%s: %q", what, got)
			}
		}
	}
}

func TestRefusalsSayWhatTheyShould(t *testing.T) {
	w, heads := open(t), make(chan string, 10)
	table := web(t, w.raw(heads, fine))
	at(&table, "slow.example", spec.Front{Rate: spec.Rate{Events: 1, Per: spec.Duration(time.Hour)}}, w.tells("slow"))
	at(&table, "paths.example", spec.Front{}, w.tells("root"))
	at(&table, "paths.example/a", spec.Front{}, w.tells("a"))
	w.must(table)
	ask := func(lines string) *http.Response {
		t.Helper()
		got := answered(t, table.HTTPPort, lines+"\r\nConnection: close\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
		if err != nil {
			t.Fatalf("%s: %q, %v", lines, got, err)
		}
		return answer
	}
	// RFC 9110, 15.5.6 and 7.6.2.
	for lines, want := range map[string]int{
		"CONNECT www.example:80 HTTP/1.1\r\nHost: www.example:80":    http.StatusMethodNotAllowed,
		"TRACE / HTTP/1.1\r\nHost: www.example\r\nMax-Forwards: 0":   http.StatusMethodNotAllowed,
		"OPTIONS / HTTP/1.1\r\nHost: www.example\r\nMax-Forwards: 0": http.StatusNoContent,
	} {
		if answer := ask(lines); answer.StatusCode != want || !strings.Contains(answer.Header.Get("Allow"), "GET") {
			t.Errorf("%q: %s, Allow %q", lines, answer.Status, answer.Header.Get("Allow"))
		}
	}
	if len(heads) > 0 {
		t.Errorf("it went on: %q", <-heads)
	}
	for lines, want := range map[string]string{
		"OPTIONS / HTTP/1.1\r\nHost: www.example\r\nMax-Forwards: 10": "Max-Forwards: 9", "TRACE / HTTP/1.1\r\nHost: www.example\r\nMax-Forwards: 1": "Max-Forwards: 0",
		"GET / HTTP/1.1\r\nHost: www.example\r\nMax-Forwards: 0": "Max-Forwards: 0", "OPTIONS / HTTP/1.1\r\nHost: www.example\r\nMax-Forwards: x": "Max-Forwards: x",
	} {
		ask(lines)
		if got := <-heads; !slices.Contains(strings.Split(got, "\r\n"), want) {
			t.Errorf("%q came as %q; want %q", lines, got, want)
		}
	}
	ask("GET / HTTP/1.1\r\nHost: slow.example")
	if answer := ask("GET / HTTP/1.1\r\nHost: slow.example"); answer.StatusCode != http.StatusTooManyRequests || len(answer.Header.Get("Retry-After")) != 4 {
		t.Errorf("once an hour: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
	for lines, want := range map[string]string{
		"GET /a%2fb HTTP/1.1\r\nHost: paths.example":                                       "two ways",
		"POST / HTTP/1.1\r\nHost: www.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": "not as HTTP wants it",
	} {
		got := answered(t, table.HTTPPort, lines+"\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400") || !strings.Contains(got, want) {
			t.Errorf("%q: %q; want %q in it", lines, got, want)
		}
	}
	if got := answered(t, table.HTTPPort, "\r\n\r\nGET / HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") { // RFC 9112, 2.2
		t.Errorf("behind an empty line: %q", got)
	}
}

func TestClientThatOffersHTTP10InTLSIsAnswered(t *testing.T) {
	w := open(t)
	table := web(t, w.tells("root"))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	c := tls.Client(dial(t, table.HTTPSPort), &tls.Config{ServerName: "www.example", RootCAs: roots, NextProtos: []string{"http/1.0"}})
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: www.example\r\n\r\n")
	if b, err := io.ReadAll(c); !strings.Contains(string(b), "root / ") {
		t.Errorf("%q, %v", b, err)
	}
}
