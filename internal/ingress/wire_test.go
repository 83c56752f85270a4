package ingress_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"

	"havre/internal/route"
)

// scripted is a container that answers the requests of each connection one
// after the other, the way that answer says; "" closes the connection unheard.
func (w *world) scripted(answer func(connection, request int) string) route.Target {
	var connections atomic.Int32
	return w.container(func(c net.Conn) {
		defer c.Close()
		connection, in := int(connections.Add(1)), bufio.NewReader(c)
		for request := 1; ; request++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			text := answer(connection, request)
			if text == "" {
				return
			}
			io.WriteString(c, text)
		}
	})
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

// net/http would send the GET once more, on a new connection.
func TestRequestThatMayHaveArrivedIsNeverSentAgain(t *testing.T) {
	w := open(t)
	var asked atomic.Int32
	table := web(t, w.scripted(func(_, request int) string {
		asked.Add(1)
		if request == 1 {
			return fine
		}
		return ""
	}))
	w.must(table)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		asked.Store(0)
		for _, want := range []int{http.StatusOK, http.StatusBadGateway} {
			r, err := http.NewRequest(method, "http://www.example/", nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := browser(t, table.HTTPPort).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if answer.StatusCode != want && method != "HEAD" { // our HEAD got a body, so nothing was kept
				t.Errorf("%s: %d; want %d", method, answer.StatusCode, want)
			}
		}
		if asked.Load() != 2 {
			t.Errorf("of 2 requests by %s %d arrived", method, asked.Load())
		}
	}
}

func TestConnectionThatEndedWhileIdleIsNotUsed(t *testing.T) {
	w := open(t)
	hangUp, hungUp := make(chan struct{}), make(chan struct{})
	table := web(t, w.container(func(c net.Conn) {
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		io.WriteString(c, fine)
		<-hangUp
		c.Close()
		hungUp <- struct{}{}
	}))
	w.must(table)
	for _, sent := range []string{"", "", "small", "small", ""} {
		answer, err := browser(t, table.HTTPPort).Post("http://www.example/", "text/plain", strings.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || string(body) != "fine" {
			t.Fatalf("with %q: %d %q", sent, answer.StatusCode, body)
		}
		hangUp <- struct{}{}
		<-hungUp
	}
}

// What a container says unasked must not be taken for the next client's answer.
func TestWordsTooManyAreNobodysAnswer(t *testing.T) {
	for what, surplus := range map[string]string{
		"with the answer": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
		"half of one":     "HTTP/1.1 200",
	} {
		t.Run(what, func(t *testing.T) {
			w := open(t)
			table := web(t, w.scripted(func(connection, request int) string { return fine + surplus }))
			w.must(table)
			for range 3 {
				if answer, body := get(t, browser(t, table.HTTPPort), "http://www.example/"); answer.StatusCode != http.StatusOK || body != "fine" {
					t.Errorf("%d %q", answer.StatusCode, body)
				}
			}
		})
	}
}

func TestAnswersThatAreNoneAreRefused(t *testing.T) {
	for what, text := range map[string]string{
		"a huge header":        "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
		"no status":            "HTTP/1.1 OK\r\n\r\n",
		"a folded first line":  "HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
		"two lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"early without end":    strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20),
		"an upgrade not asked": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"an odd encoding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, x\r\n\r\n",
	} {
		t.Run(what, func(t *testing.T) {
			w := open(t)
			table := web(t, w.scripted(func(_, _ int) string { return text }))
			w.must(table)
			if answer, _ := get(t, browser(t, table.HTTPPort), "http://www.example/"); answer.StatusCode != http.StatusBadGateway {
				t.Errorf("status = %d", answer.StatusCode)
			}
		})
	}
}

func TestBodyFlowsBothWaysAtOnce(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, strings.ToUpper(line))
			w.(http.Flusher).Flush()
		}
	})))
	w.must(table)
	up, says := io.Pipe()
	r, err := http.NewRequest("POST", "http://www.example/", up)
	if err != nil {
		t.Fatal(err)
	}
	go io.WriteString(says, "one\n")
	answer, err := browser(t, table.HTTPPort).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	for _, word := range []string{"one", "two", "three"} {
		if word != "one" {
			if _, err := io.WriteString(says, word+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := lines.ReadString('\n'); err != nil || line != strings.ToUpper(word)+"\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	says.Close()
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestTrailersGoBothWays(t *testing.T) {
	w := open(t)
	seen := make(chan string, 1)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		b, _ := io.ReadAll(r.Body)
		seen <- string(b) + r.Trailer.Get("X-Client-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-Late", "43")
	})))
	w.must(table)
	r, err := http.NewRequest("POST", "http://www.example/", io.MultiReader(strings.NewReader("up")))
	if err != nil {
		t.Fatal(err)
	}
	r.Trailer = http.Header{"X-Client-Sum": {"7"}}
	answer, err := browser(t, table.HTTPPort).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || string(b) != "body" || answer.Trailer.Get("X-Sum") != "42" || answer.Trailer.Get("X-Late") != "43" {
		t.Errorf("%q, %v, %v", b, err, answer.Trailer)
	}
	if got := <-seen; got != "up7" {
		t.Errorf("the app saw %q", got)
	}
}

func TestEarlyHintsPass(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "page")
	})))
	w.must(table)
	hinted := ""
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hinted = fmt.Sprint(code, h.Get("Link"))
			return nil
		},
	}), "GET", "http://www.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := browser(t, table.HTTPPort).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if hinted != "103 </style.css>; rel=preload" && !strings.HasPrefix(hinted, "103") {
		t.Errorf("hinted %q", hinted)
	}
}

// 100-continue: the client waits for the app's word, whatever it is.
func TestBodyWaitsForTheAppsWord(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(b), err)
	})))
	w.must(table)
	for path, want := range map[string]string{"/yes": "HTTP/1.1 100 Continue\r\n", "/no": "HTTP/1.1 417 Expectation Failed\r\n"} {
		c := dial(t, table.HTTPPort)
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: www.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", path)
		in := bufio.NewReader(c)
		line, err := in.ReadString('\n')
		if err == nil && path == "/no" && line == "HTTP/1.1 100 Continue\r\n" { // ours may come first: it has to ask for the body
			in.ReadString('\n')
			line, err = in.ReadString('\n')
		}
		if err != nil || line != want {
			t.Errorf("%s: %q, %v", path, line, err)
		}
		if path == "/yes" {
			in.ReadString('\n')
			io.WriteString(c, "12345")
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(answer.Body); string(b) != "5 <nil>" {
				t.Errorf("%q", b)
			}
		}
	}
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	})))
	w.must(table)
	whole := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	for what, body := range map[string]io.Reader{"known": bytes.NewReader(whole), "chunked": io.MultiReader(bytes.NewReader(whole))} {
		r, err := http.NewRequest("POST", "http://www.example/", body)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := browser(t, table.HTTPPort).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !bytes.Equal(b, whole) {
			t.Errorf("%s: %d bytes came back, %v", what, len(b), err)
		}
	}
}

// A body that breaks off must not look whole to the app.
func TestBrokenBodyDoesNotLookWhole(t *testing.T) {
	for _, framing := range []string{"Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"} {
		w := open(t)
		failed := make(chan error, 1)
		table := web(t, w.serves(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			failed <- err
		})))
		w.must(table)
		c := dial(t, table.HTTPPort)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: www.example\r\n"+framing)
		c.CloseWrite()
		if err := <-failed; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("the app saw a whole body: %v", err)
		}
	}
}
