package ingress_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crypto/tls"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"havre/internal/ingress"
)

func TestManyHeadersAreRefused(t *testing.T) {
	w := open(t)
	table := web(t, w.serves(says("web")))
	w.must(table)
	c := dial(t, table.HTTPPort)
	go func() {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example\r\n")
		for i := range 200_000 {
			if _, err := fmt.Fprintf(c, "X-%d: y\r\n", i); err != nil {
				return
			}
		}
	}()
	if status, _ := answerOf(t, c); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status = %d", status)
	}
}

// HTTP/2 says the host and path in fields of its own, which may not differ
// from what HTTP/1 would say, nor hide a line.
func TestPseudoHeadersOfHTTP2HideNothing(t *testing.T) {
	w := open(t)
	var asked atomic.Int32
	table := web(t, w.serves(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })))
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	good := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "www.example"}, {":path", "/"}}
	for what, fields := range map[string][][2]string{
		"an end of line in the path":  {{":method", "GET"}, {":scheme", "https"}, {":authority", "www.example"}, {":path", "/ HTTP/1.1\r\nX: y"}},
		"an end of line in a value":   append(good[:4:4], [2]string{"x", "a\r\nGET /smuggled HTTP/1.1"}),
		"an end of line in a name":    append(good[:4:4], [2]string{"x\r\ny", "z"}),
		"an end of line in a method":  {{":method", "GET / HTTP/1.1\r\nX"}, {":scheme", "https"}, {":authority", "www.example"}, {":path", "/"}},
		"a connection's header":       append(good[:4:4], [2]string{"transfer-encoding", "chunked"}),
		"capitals":                    append(good[:4:4], [2]string{"X-Y", "z"}),
		"two paths":                   append([][2]string{{":path", "/x"}}, good...),
		"a pseudo-header at the end":  {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"x", "y"}, {":authority", "www.example"}},
		"an unknown pseudo-header":    append([][2]string{{":odd", "/x"}}, good...),
		"another host than the first": {{":method", "GET"}, {":scheme", "https"}, {":authority", "other.example"}, {":path", "/"}, {"host", "www.example"}},
	} {
		c, err := tls.Dial("tcp", local(table.HTTPSPort), &tls.Config{RootCAs: roots, ServerName: "www.example", NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		var block strings.Builder
		e := hpack.NewEncoder(&block)
		for _, f := range fields {
			e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		io.WriteString(c, http2.ClientPreface)
		f := http2.NewFramer(c, c)
		f.WriteSettings()
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
		refused := false
		for !refused {
			frame, err := f.ReadFrame()
			if err != nil {
				break
			}
			switch frame := frame.(type) {
			case *http2.HeadersFrame, *http2.RSTStreamFrame, *http2.GoAwayFrame:
				refused = true
			default:
				_ = frame
			}
		}
		c.Close()
		if asked.Swap(0) != 0 {
			t.Errorf("%s: it reached the app", what)
		}
	}
}

// Who says a word a minute is cut when the header's time is over; no
// other waits for it meanwhile.
func TestSlowHeadersKeepNobodyOut(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.HeaderTime = time.Second })
	table := web(t, w.serves(says("web")))
	w.must(table)
	var slow []net.Conn
	for range 200 {
		c := dial(t, table.HTTPPort)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.exa")
		slow = append(slow, c)
	}
	if answer, body := get(t, browser(t, table.HTTPPort), "http://www.example/"); answer.StatusCode != http.StatusOK || body != "web" {
		t.Errorf("%d %q", answer.StatusCode, body)
	}
	if b, err := io.ReadAll(slow[0]); err != nil && len(b) == 0 { // it ends before this test's patience of 20 s does
		t.Errorf("after the header's time: %q, %v", b, err)
	}
}
