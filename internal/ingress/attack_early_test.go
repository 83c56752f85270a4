package ingress_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"havre/internal/route"
	"havre/internal/spec"
)

// blunt is a container that answers each request of HTTP/2 without TLS with the
// headers of these statuses, the last of which ends it.
func (w *world) blunt(statuses ...string) route.Target {
	return w.container(func(c net.Conn) {
		defer c.Close()
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		f.AllowIllegalWrites = true
		f.WriteSettings()
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
				var b bytes.Buffer
				e := hpack.NewEncoder(&b)
				for i, s := range statuses {
					b.Reset()
					e.WriteField(hpack.HeaderField{Name: ":status", Value: s})
					f.WriteHeaders(http2.HeadersFrameParam{StreamID: frame.StreamID, BlockFragment: b.Bytes(), EndHeaders: true, EndStream: i == len(statuses)-1})
				}
			}
		}
	})
}

// What an app says before its answer is written by whoever hears it, which
// must not be the end of the ingress, and with it of every other app.
func TestStatusesThatAreNoneHarmNobody(t *testing.T) {
	w := open(t)
	early := append(strings.Split(strings.Repeat("103 ", 2000), " ")[:2000], "200")
	two := func(statuses ...string) route.Target { return w.blunt(statuses...) }
	one := func(lines string) route.Target { return w.scripted(func(_, _ int) string { return lines }) }
	table := web(t, one(fine))
	want := map[string]int{"www.example": 200}
	add := func(host string, scheme spec.Scheme, target route.Target, status int) {
		at(&table, host, spec.Front{Scheme: scheme}, target)
		want[host] = status
	}
	add("early.two.example", spec.H2C, two("103", "200"), 200)
	add("switch.two.example", spec.H2C, two("101", "200"), 502)
	add("flood.two.example", spec.H2C, two(early...), 502)
	add("none.two.example", spec.H2C, two("42"), 502)
	add("many.two.example", spec.H2C, two("12345"), 502)
	add("none.one.example", "", one("HTTP/1.1 000 None\r\n\r\n"+fine), 502)
	add("few.one.example", "", one("HTTP/1.1 099 Few\r\nContent-Length: 0\r\n\r\n"), 502)
	hosts := []string{}
	for h := range want {
		hosts = append(hosts, h)
	}
	roots := certified(t, &table, hosts)
	w.must(table)
	for host, status := range want {
		secure := secureBrowser(t, table.HTTPSPort, roots)
		secure.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		for how, ask := range map[string]func() (*http.Response, error){
			"HTTP/1.1": func() (*http.Response, error) { return browser(t, table.HTTPPort).Get("http://" + host + "/") },
			"of net/http": func() (*http.Response, error) {
				return browser(t, table.HTTPPort).Post("http://"+host+"/", "", struct{ io.Reader }{strings.NewReader("long")})
			},
			"HTTP/2": func() (*http.Response, error) { return secure.Get("https://" + host + "/") },
		} {
			answer, err := ask()
			if err != nil {
				t.Errorf("%s by %s: %v", host, how, err)
				continue
			}
			answer.Body.Close()
			if answer.StatusCode != status {
				t.Errorf("%s by %s: %d, want %d", host, how, answer.StatusCode, status)
			}
		}
	}
	if open := w.status().Open; len(open) > len(want) {
		t.Errorf("open: %v", open)
	}
}

// Who takes nothing of what an app says early, over a connection that all its
// clients share, keeps none of them waiting.
func TestEarlyAnswersThatNobodyTakesHinderNobody(t *testing.T) {
	w := open(t)
	hinted, over := make(chan struct{}), make(chan struct{})
	var sent atomic.Int64
	table := web(t, w.servesTwo(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			for b := make([]byte, 64<<10); ; sent.Add(1) {
				if _, err := rw.Write(b); err != nil {
					return
				}
			}
		case "/hint":
			for range 4 {
				rw.WriteHeader(http.StatusEarlyHints)
			}
			close(hinted)
			<-over
		}
	}))
	table.HTTP[0].Front.Scheme = spec.H2C
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	deaf := speakTwo(t, table, roots, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	defer deaf.c.Close()
	defer close(over)
	deaf.WriteWindowUpdate(0, 1<<30)
	deaf.open(1, request("GET", "/large"), true)
	deaf.status(1) // and reads no more
	before, since := int64(0), 0
	eventually(t, "the connection to be full", func() error {
		if n := sent.Load(); n == 0 || n != before {
			before, since = n, 0
		}
		if since++; since < 30 {
			return fmt.Errorf("it took %d pieces", before)
		}
		return nil
	})
	deaf.open(3, request("GET", "/hint"), true)
	<-hinted
	for range 3 {
		if answer, _ := get(t, browser(t, table.HTTPPort), "http://www.example/"); answer.StatusCode != http.StatusOK {
			t.Errorf("meanwhile another client: %d", answer.StatusCode)
		}
	}
}

// When a client leaves, net/http's writer may be at an early answer's lines while
// the real answer's are put beside them, and its transport at the request's body:
// either would end the whole process. The race detector sees it.
func TestWhoLeavesAtAnEarlyAnswerEndsNobody(t *testing.T) {
	w := open(t)
	hinted := make(chan bool, 1)
	table := web(t, w.servesTwo(func(rw http.ResponseWriter, r *http.Request) {
		for range 4 {
			rw.WriteHeader(http.StatusEarlyHints)
		}
		select {
		case hinted <- true:
		default:
		}
		rw.Header().Set("X-Word", "said")
	}))
	table.HTTP[0].Front.Scheme = spec.H2C
	roots := certified(t, &table, []string{"www.example"})
	w.must(table)
	for range 20 {
		leaves := speakTwo(t, table, roots)
		for id := uint32(1); id < 200; id += 2 {
			leaves.open(id, request("GET", "/"), true)
		}
		<-hinted
		leaves.c.Close()
	}
}
