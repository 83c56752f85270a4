package ingress_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"havre/internal/route"
	"havre/internal/spec"
)

// two is a client of HTTP/2 that says what it likes, frame by frame.
type two struct {
	*http2.Framer
	c net.Conn
	t testing.TB
}

func speakTwo(t testing.TB, table route.Table, roots *x509.CertPool, settings ...http2.Setting) *two {
	t.Helper()
	c := tls.Client(dial(t, table.HTTPSPort), &tls.Config{RootCAs: roots, ServerName: "www.example", NextProtos: []string{"h2"}})
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	f.AllowIllegalWrites = true
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return &two{f, c, t}
}

// block is a header, encoded.
func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// request is the header of one for www.example.
func request(method, path string, more ...string) []byte {
	return block(append([]string{":method", method, ":scheme", "https", ":authority", "www.example", ":path", path}, more...)...)
}

func (c *two) open(stream uint32, header []byte, over bool) error {
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header, EndHeaders: true, EndStream: over})
}

// status reads until the stream is answered, reset (0), or the connection ends
// (-1). It answers what a living client must.
func (c *two) status(stream uint32) int {
	c.t.Helper()
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return -1
		}
		switch frame := frame.(type) {
		case *http2.PingFrame:
			if !frame.IsAck() {
				c.WritePing(true, frame.Data)
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return 0
			}
		case *http2.HeadersFrame:
			if frame.StreamID != stream {
				continue
			}
			fields, err := hpack.NewDecoder(4096, nil).DecodeFull(frame.HeaderBlockFragment())
			if err != nil {
				c.t.Errorf("answer: %v", err)
				return -1
			}
			status := 0
			fmt.Sscan(fields[0].Value, &status)
			return status
		}
	}
}

// What HTTP/2 frames and what it says of lengths are one thing for HTTP/1: a
// difference between them would be a request of its own there.
func TestFramesOfHTTP2BecomeOneRequest(t *testing.T) {
	w := open(t, impatient)
	app, target := w.strict()
	table := web(t, target)
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	const inner = "GET /smuggled HTTP/1.1\r\nHost: www.example\r\n\r\n"
	number, may := 0, map[string]string{}
	var all sync.WaitGroup
	for what, c := range map[string]struct {
		more    []string
		data    string
		reaches string
	}{
		"a length that is true":         {[]string{"content-length", fmt.Sprint(len(inner))}, inner, "POST /a " + inner},
		"no length":                     {nil, inner, "POST /a " + inner},
		"a length of nothing":           {[]string{"content-length", "0"}, inner, "POST /a"},
		"a length too small":            {[]string{"content-length", "4"}, inner, "POST /a"},
		"a length too large":            {[]string{"content-length", "4000"}, inner, "POST /a"},
		"two lengths":                   {[]string{"content-length", "0", "content-length", fmt.Sprint(len(inner))}, inner, "POST /a"},
		"a length with a sign":          {[]string{"content-length", "+4"}, inner, "POST /a"},
		"an encoding":                   {[]string{"transfer-encoding", "chunked"}, "0\r\n\r\n" + inner, ""},
		"an encoding with a blank":      {[]string{"transfer-encoding ", "chunked"}, "0\r\n\r\n" + inner, ""},
		"an encoding behind a line":     {[]string{"x", "y\r\ntransfer-encoding: chunked"}, "0\r\n\r\n" + inner, ""},
		"an encoding behind a bare LF":  {[]string{"x", "y\ntransfer-encoding: chunked"}, "0\r\n\r\n" + inner, ""},
		"an encoding in a name":         {[]string{"transfer-encoding: chunked\r\nx", "y"}, "0\r\n\r\n" + inner, ""},
		"an encoding spelt differently": {[]string{"transfer_encoding", "chunked"}, inner, "POST /a " + inner},
		"a connection":                  {[]string{"connection", "close"}, inner, ""},
		"an upgrade":                    {[]string{"upgrade", "h2c"}, inner, ""},
		"a zero byte":                   {[]string{"x", "y\x00z"}, inner, ""},
		"a name with a colon":           {[]string{"x:y", "z"}, inner, ""},
		"no name":                       {[]string{"", "z"}, inner, ""},
		"a second host":                 {[]string{"host", "other.example"}, inner, "POST /a " + inner},
		"another client":                {[]string{"x-forwarded-for", "6.6.6.6", "forwarded", "for=6.6.6.6"}, inner, "POST /a " + inner},
	} {
		number++
		path := fmt.Sprintf("/a%d", number)
		may[path] = strings.Replace(c.reaches, "/a", path, 1)
		all.Go(func() {
			two := speakTwo(t, table, roots)
			defer two.c.Close()
			two.open(1, request("POST", path, c.more...), false)
			two.WriteData(1, true, []byte(c.data))
			if status := two.status(1); status != http.StatusOK && strings.Contains(c.reaches, "smuggled") {
				t.Errorf("%s: %d", what, status)
			}
		})
	}
	all.Wait()
	seen, heads, wrong := app.take()
	for _, s := range seen {
		path, _, _ := strings.Cut(strings.TrimPrefix(s, "POST "), " ")
		if want, ok := may[path]; !ok || s != want {
			t.Errorf("the app saw %q; want %q", s, want)
		}
	}
	for _, h := range heads {
		if strings.Contains(h, "6.6.6.6") || strings.Contains(h, "other.example") {
			t.Errorf("the app was told %q", h)
		}
	}
	if len(wrong) > 0 {
		t.Errorf("the app found wrong: %q", wrong)
	}
	// Targets that are none.
	for path, want := range map[string]int{"http:a": http.StatusBadRequest, "a": 0, "": 0, "*": http.StatusBadRequest, "/a\tb": 0, "/a\x00": 0} {
		two := speakTwo(t, table, roots)
		two.open(1, request("GET", path), true)
		if status := two.status(1); status != want && !(want == 0 && (status == -1 || status == http.StatusBadRequest)) {
			t.Errorf("path %q: %d", path, status)
		}
		seen, _, wrong := app.take() // POST is of a case before, cut halfway
		if slices.ContainsFunc(seen, func(s string) bool { return !strings.HasPrefix(s, "POST /a") }) || len(wrong) > 0 {
			t.Errorf("path %q: the app saw %q, wrong %q", path, seen, wrong)
		}
		two.c.Close()
	}
}

// Headers without end, in frames or in what a few bytes of HPACK become, are
// refused long before they are large here.
func TestHeaderBombsOfHTTP2AreRefused(t *testing.T) {
	w := open(t)
	var asked atomic.Int32
	table := web(t, w.serves(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)

	frames := speakTwo(t, table, roots)
	frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: request("GET", "/"), EndStream: true})
	more := block("x", strings.Repeat("y", 8<<10))
	sent, err := 0, error(nil)
	for sent < 64<<20 && err == nil { // a CONTINUATION flood, CVE-2023-45288
		err = frames.WriteContinuation(1, false, more)
		sent += len(more)
	}
	if err == nil {
		t.Errorf("%d MiB of one header were taken", sent>>20)
	}

	bomb := speakTwo(t, table, roots)
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "www.example"}, {":path", "/"}} {
		e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	for range 10_000 { // each but the first is a byte that means 3000
		e.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 3000)})
	}
	if b.Len() > 16<<10 {
		t.Fatalf("the bomb itself has %d bytes", b.Len())
	}
	bomb.open(1, b.Bytes(), true)
	if status := bomb.status(1); status == http.StatusOK {
		t.Errorf("30 MB of header: %d", status)
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the app was asked %d times", n)
	}
}

// Requests that are begun and taken back at once are cheap to send
// (CVE-2023-44487). They cost no more than so many at once, and no other
// client waits for them.
func TestRequestsTakenBackAtOnceKeepNobodyOut(t *testing.T) {
	w := open(t)
	var now, most atomic.Int32
	table := web(t, w.serves(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/well" {
			return
		}
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-r.Context().Done()
	})))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	attack := speakTwo(t, table, roots)
	go io.Copy(io.Discard, attack.c)
	header := request("GET", "/")
	for i := range uint32(5000) {
		if attack.open(2*i+1, header, true) != nil || attack.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
			break
		}
	}
	if answer, _ := get(t, secureBrowser(t, table.HTTPSPort, roots), "https://www.example/well"); answer.StatusCode != http.StatusOK {
		t.Errorf("meanwhile another client: %d", answer.StatusCode)
	}
	attack.c.Close()
	eventually(t, "the app to be left alone", func() error {
		if n := now.Load(); n > 0 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	if n := most.Load(); n > 500 { // 250 streams, and as many whose end the app has not heard of
		t.Errorf("%d requests at once reached the app", n)
	}
}

// A client that gives signs of life, but takes nothing of an answer, holds an
// app's connection only as long as one of HTTP/1 does.
func TestAnswerThatNobodyReadsByHTTP2IsGivenUp(t *testing.T) {
	w := open(t, impatient)
	h, ended := w.floods()
	table := web(t, w.serves(h))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	for _, window := range []uint32{0, 1000} {
		c := speakTwo(t, table, roots, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
		c.open(1, request("GET", "/"), true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c.status(1) > 0 { // and pings
			}
		}()
		var err error
		select {
		case err = <-ended:
		case <-time.After(15 * time.Second):
			err = errors.New("the app is still asked for more")
			t.Errorf("window %d: %v", window, err)
		}
		c.c.Close()
		<-done
		if err != nil && strings.Contains(err.Error(), "still") {
			<-ended
		}
	}
}

// A blank in what HTTP/2 keeps apart would part an app's first line elsewhere:
// it would be another request, or one of a version in which bodies end otherwise.
func TestBlanksOfHTTP2DoNotMoveTheFirstLine(t *testing.T) {
	w := open(t)
	app, target := w.strict()
	table := web(t, target)
	at(&table, "*.sub.example", spec.Front{}, target)
	roots := certified(t, &table, []string{"www.example", "*.sub.example"})
	w.must(table)
	for what, header := range map[string][]byte{
		"a version in the query": request("POST", "/?a HTTP/1.0"),
		"a blank in the query":   request("GET", "/?a b"),
		"a target in the method": request("GET /inner HTTP/1.0", "/"),
		"a tab in the method":    request("GET\t/inner", "/"),
		"a host with a blank":    block(":method", "GET", ":scheme", "https", ":authority", "www.example: HTTP/1.0", ":path", "/"),
		"a label with a blank":   block(":method", "GET", ":scheme", "https", ":authority", "a b.sub.example", ":path", "/"),
		"a label with a slash":   block(":method", "GET", ":scheme", "https", ":authority", "evil/.sub.example", ":path", "/"),
		"a label with a comma":   block(":method", "GET", ":scheme", "https", ":authority", "evil,.sub.example", ":path", "/"),
	} {
		two := speakTwo(t, table, roots)
		two.open(1, header, false)
		two.WriteData(1, true, []byte("body"))
		if status := two.status(1); status == http.StatusOK {
			t.Errorf("%s: %d", what, status)
		}
		two.c.Close()
		if seen, heads, wrong := app.take(); len(seen)+len(wrong) > 0 {
			t.Errorf("%s: the app saw %q, wrong %q", what, heads, wrong)
		}
	}
	two := speakTwo(t, table, roots)
	defer two.c.Close()
	two.open(1, request("SEARCH-X", "/a%20b?c=%20d+e|{}\"<>^`'[]"), true)
	if status := two.status(1); status != http.StatusOK {
		t.Errorf("a good request: %d", status)
	}
	if seen, heads, _ := app.take(); len(seen) != 1 {
		t.Errorf("a good request: %q", heads)
	}
}
