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

// A kept connection that ends under a request is no reason to refuse it, where
// nothing of an answer came and it may be sent twice. What may not is not.
func TestRequestOnAConnectionThatEndsIsAskedAgainWhereThatDoesNoHarm(t *testing.T) {
	for _, c := range []struct {
		method, body string
		again        bool
	}{
		{"GET", "", true}, {"OPTIONS", "", true}, {"PUT", "a body", true}, {"DELETE", "", true}, {"DELETE", "a body", true}, {"PROPFIND", "", true},
		{"POST", "", false}, {"POST", "a body", false}, {"PATCH", "a body", false}, {"LOCK", "", false},
	} {
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
		con := dial(t, table.HTTPPort)
		in := bufio.NewReader(con)
		for n := range 2 {
			fmt.Fprintf(con, "%s / HTTP/1.1\r\nHost: www.example\r\nContent-Length: %d\r\n\r\n%s", c.method, len(c.body), c.body)
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, answer.Body)
			if good := answer.StatusCode == http.StatusOK; good != (n == 0 || c.again) {
				t.Errorf("%s %q, request %d: %d", c.method, c.body, n+1, answer.StatusCode)
			}
		}
		want := int32(2)
		if c.again {
			want = 3
		}
		if asked.Load() != want {
			t.Errorf("of 2 requests by %s %q %d arrived; want %d", c.method, c.body, asked.Load(), want)
		}
	}
}

// Nor is it asked again when it has begun to be answered, or by a new connection.
func TestRequestThatIsAnsweredInPartIsNotAskedAgain(t *testing.T) {
	for what, reply := range map[string]func(connection, request int) string{
		"a beginning": func(_, request int) string {
			if request == 1 {
				return fine
			}
			return "HTTP/1.1 200 OK\r\nX: y\r\n"
		},
		"a new connection": func(int, int) string { return "" },
	} {
		w := open(t)
		var asked, first atomic.Int32
		table := web(t, w.container(func(c net.Conn) {
			defer c.Close()
			connection, in := int(first.Add(1)), bufio.NewReader(c)
			for request := 1; ; request++ {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				asked.Add(1)
				text := reply(connection, request)
				if io.WriteString(c, text); text != fine {
					return
				}
			}
		}))
		w.must(table)
		last := 0
		for range 2 {
			answer, _ := get(t, browser(t, table.HTTPPort), "http://www.example/")
			last = answer.StatusCode
		}
		if last != http.StatusBadGateway || asked.Load() != 2 {
			t.Errorf("%s: %d, and of 2 requests %d arrived", what, last, asked.Load())
		}
	}
}

// An app that closes each connection after its answer, and does not say so, is
// answered for all the same, however the moment falls.
func TestAppThatHangsUpWithoutAWordServesAll(t *testing.T) {
	w := open(t)
	table := web(t, w.container(func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, fine)
		}
	}))
	w.must(table)
	c := browser(t, table.HTTPPort)
	for n := range 500 {
		if answer, body := get(t, c, "http://www.example/"); answer.StatusCode != http.StatusOK || body != "fine" {
			t.Fatalf("request %d: %d %q", n, answer.StatusCode, body)
		}
	}
}

// NTLM and Negotiate log in a connection, not a request.
func TestConnectionThatKnowsItsClientIsNobodyElses(t *testing.T) {
	w := open(t)
	var connections atomic.Int32
	who := func() route.Target {
		return w.container(func(c net.Conn) {
			defer c.Close()
			n, user, in := connections.Add(1), "nobody", bufio.NewReader(c)
			for {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				if said := r.Header.Get("Authorization"); said != "" {
					_, user, _ = strings.Cut(said, " ")
				}
				text := fmt.Sprintf("%s on %d", user, n)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			}
		})
	}
	table := web(t, who(), who())
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	fresh := map[string]func() *http.Client{
		"http":  func() *http.Client { return browser(t, table.HTTPPort) },
		"https": func() *http.Client { return secureBrowser(t, table.HTTPSPort, roots) },
	}
	for what, client := range fresh {
		for _, scheme := range []string{"NTLM", "Negotiate", "negotiate"} {
			alice, url := client(), what+"://www.example/"
			_, first := get(t, alice, url, "Authorization", scheme+" alice")
			for range 4 { // a client of its own each time
				if _, said := get(t, client(), url); !strings.HasPrefix(said, "nobody") {
					t.Errorf("%s, %s: a stranger is %q", what, scheme, said)
				}
			}
			for range 4 { // by HTTP/1.1 she finds her own again, of both containers
				if _, said := get(t, alice, url); what == "http" && said != first {
					t.Errorf("%s, %s: alice on her connection is %q; was %q", what, scheme, said, first)
				}
			}
		}
	}
}

// Many servers answer so, and close while the body is still coming.
func TestAnswerThatComesBeforeTheBodyIsSentIsPassedOn(t *testing.T) {
	w := open(t)
	table := web(t, w.container(func(c net.Conn) {
		io.CopyN(io.Discard, c, 300<<10) // whoever sends waits for room by then
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
		c.(*net.TCPConn).SetLinger(0) // at once, and with a reset
		c.Close()
	}))
	w.must(table)
	for n := range 100 {
		c := dial(t, table.HTTPPort)
		go func() {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: www.example\r\nContent-Length: %d\r\n\r\n", 9<<20)
			io.CopyN(c, zeros{}, 9<<20)
		}()
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("request %d: %v, %v", n, answer, err)
		}
		c.Close()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

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
