package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/http1"
)

const ask = "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"

// served is a client's end of a connection that h answers on. What is handed
// over is said to over; the channel is closed when the connection has ended.
func served(t *testing.T, h http.HandlerFunc) (client net.Conn, over <-chan string) {
	t.Helper()
	client, server := net.Pipe()
	handed := make(chan string, 1)
	s := &http1.Server{Handler: h, First: time.Second, Idle: time.Minute, HandOver: func(c net.Conn, read []byte) {
		handed <- string(read)
		c.Close()
	}}
	go func() {
		defer close(handed)
		s.Serve(t.Context(), server)
	}()
	t.Cleanup(func() { client.Close() })
	return client, handed
}

func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
}

func TestAnswersOfAllKindsArriveWhole(t *testing.T) {
	c, over := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/length":
			w.Header().Set("Content-Length", "4")
			io.WriteString(w, "body")
		case "/large":
			w.Header().Set("Content-Length", "100000")
			io.WriteString(w, strings.Repeat("x", 100_000))
		case "/chunks":
			w.Header().Set("Trailer", "X-Sum")
			for range 3 {
				io.WriteString(w, "piece")
				w.(http.Flusher).Flush()
			}
			io.WriteString(w, strings.Repeat("y", 100_000))
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		case "/304":
			w.Header().Set("Content-Length", "4")
			w.WriteHeader(http.StatusNotModified)
		case "/odd":
			w.Header().Set("X-Odd", "a\r\nX-Hidden: b")
			w.Header()["X Y"] = []string{"z"}
		}
	})
	in := bufio.NewReader(c)
	for _, q := range []struct {
		path, body, header string
		status             int
	}{
		{"length", "body", "", 200}, {"large", strings.Repeat("x", 100_000), "", 200}, {"chunks", "piecepiecepiece" + strings.Repeat("y", 100_000), "", 200},
		{"304", "", "", 304}, {"odd", "", "a  X-Hidden: b", 200}, {"nothing", "", "", 200},
	} {
		go fmt.Fprintf(c, ask, q.path)
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", q.path, err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || string(body) != q.body || answer.StatusCode != q.status || answer.Header.Get("Date") == "" || answer.Header.Get("X-Odd") != q.header {
			t.Errorf("%s: %d %d bytes %v %v", q.path, answer.StatusCode, len(body), answer.Header, err)
		}
		if q.path == "chunks" && (answer.Trailer.Get("X-Sum") != "1" || answer.Trailer.Get("X-Late") != "2") {
			t.Errorf("trailer %v", answer.Trailer)
		}
	}
	go io.WriteString(c, "HEAD /length HTTP/1.1\r\nHost: a\r\n\r\n")
	answer, err := http.ReadResponse(in, &http.Request{Method: "HEAD"})
	if err != nil || answer.ContentLength != 4 || in.Buffered() > 0 {
		t.Errorf("HEAD: %v, %v, and %d bytes behind", answer, err, in.Buffered())
	}
	c.Close()
	if text, there := <-over; there {
		t.Errorf("%q was handed over", text)
	}
}

func TestRestOfAConnectionIsHandedOver(t *testing.T) {
	c, over := served(t, func(w http.ResponseWriter, _ *http.Request) {})
	odd := "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nand more"
	go say(t, c, fmt.Sprintf(ask, "")+odd)
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	if got := <-over; got != odd {
		t.Errorf("handed over %q", got)
	}
}

func TestAnswerThatIsNotWholeEndsTheConnection(t *testing.T) {
	for what, h := range map[string]http.HandlerFunc{
		"given up": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
		"too short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "four")
		},
		"the last": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
	} {
		c, over := served(t, h)
		go io.WriteString(c, fmt.Sprintf(ask, "")+fmt.Sprintf(ask, "next"))
		said, _ := io.ReadAll(c)
		if _, there := <-over; there || strings.Count(string(said), "HTTP/1.1 ") > 1 {
			t.Errorf("%s: another request was answered: %q", what, said)
		}
	}
}

func TestClientThatLeavesEndsItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan error, 1)
		c, _ := served(t, func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			gone <- context.Cause(r.Context())
		})
		say(t, c, fmt.Sprintf(ask, ""))
		synctest.Wait()
		c.Close()
		if err := <-gone; err == nil {
			t.Error("the request goes on")
		}
	})
}

// What a client says while it waits is its next request.
func TestNextRequestMayComeEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan bool)
		c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-proceed
			}
			w.Header().Set("X-Path", r.URL.Path)
		})
		say(t, c, fmt.Sprintf(ask, "slow"))
		<-time.After(time.Second) // by then it is read ahead
		say(t, c, fmt.Sprintf(ask, "next"))
		proceed <- true
		in := bufio.NewReader(c)
		for _, path := range []string{"/slow", "/next"} {
			answer, err := http.ReadResponse(in, nil)
			if err != nil || answer.Header.Get("X-Path") != path {
				t.Fatalf("%s: %v, %v", path, answer, err)
			}
		}
	})
}

func TestSilentClientIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, over := served(t, func(http.ResponseWriter, *http.Request) {})
		began := time.Now()
		<-over
		if took := time.Since(began); took != time.Second {
			t.Errorf("left after %v", took)
		}
		c.Close()
	})
}

// What a handler has no more use for is used again: of one request nothing may
// be left in another.
func TestNothingOfARequestIsLeftInTheNext(t *testing.T) {
	var seen []string
	c, over := served(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, fmt.Sprint(r.Method, " ", r.URL, " ", r.Header, " ", string(body), w.Header()))
		w.Header().Set("X-Answer", r.URL.Path)
		w.(interface {
			Copy([]http1.Line, int64)
		}).Copy([]http1.Line{{Name: "Content-Length", Value: "2"}}, 2)
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "ok")
		w.(interface{ Spent() }).Spent()
	})
	in := bufio.NewReader(c)
	for _, text := range []string{
		"POST /first?q=1 HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-One: 2\r\nCookie: a=b\r\nContent-Length: 4\r\n\r\nbody",
		"GET /second HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /%41 HTTP/1.1\r\nHost: a\r\nX-Two: 2\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		go io.WriteString(c, text)
		method, _, _ := strings.Cut(text, " ")
		answer, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(answer.Body); err != nil || method != "HEAD" && string(body) != "ok" || len(answer.Header) != 3 || len(answer.Header["X-Answer"]) != 1 {
			t.Errorf("%q: %q %v %v", text, body, answer.Header, err)
		}
	}
	c.Close()
	<-over
	want := []string{
		"POST /first?q=1 map[Content-Length:[4] Cookie:[a=b] X-One:[1 2]] bodymap[]",
		"GET /second map[] map[]", "HEAD /%41 map[X-Two:[2]] map[]", "GET / map[] map[]",
	}
	if !slices.Equal(seen, want) {
		t.Errorf("seen\n%q; want\n%q", seen, want)
	}
}
