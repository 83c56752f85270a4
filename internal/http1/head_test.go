package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"testing"
)

const fine = "HTTP/1.1 200 OK\r\nServer: a\r\ncontent-length: 4\r\nSet-Cookie: a=b\r\nset-cookie:  c=d \r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n"

func TestPlainAnswersAreTaken(t *testing.T) {
	for _, text := range []string{
		fine + "fine", fine + "finemore", fine,
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 500 \r\nContent-Length: 00\r\nX:\r\n\r\n",
	} {
		if new(Head).Read([]byte(text)) == 0 {
			t.Errorf("%q is not taken", text)
		}
		sameAnswerAsNetHTTP(t, []byte(text))
	}
}

func TestAnswersThatAreNotPlainAreLeftToNetHTTP(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
	for _, text := range []string{
		"", head, "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 101 X\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 204 X\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 304 X\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 600 X\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1  200 OK\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 +20 OK\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 4\n\n", "\r\n" + head + "\r\n", "HTTP/1.1 200 \n\r\nContent-Length: 0\r\n\r\n",
		head + "Content-Length: 4\r\n\r\n", head + "Transfer-Encoding: chunked\r\n\r\n", head + "Connection: close\r\n\r\n", head + "Connection: X\r\n\r\n",
		head + "Trailer: X\r\n\r\n", head + "Upgrade: x\r\n\r\n", head + "Pragma: no-cache\r\n\r\n", head + " x: y\r\n\r\n", head + "x : y\r\n\r\n",
		head + "x: \x00\r\n\r\n", head + "x: \r\r\n\r\n", head + "x: a\nb: c\r\n\r\n", head + "x\r\n\r\n", head + "Keep-Alive: a\r\nKeep-Alive: b\r\n\r\n", head + ": x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
	} {
		if new(Head).Read([]byte(text)) != 0 {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzPlainAnswerIsWhatNetHTTPUnderstands: no answer has a second meaning.
func FuzzPlainAnswerIsWhatNetHTTPUnderstands(f *testing.F) {
	f.Add([]byte(fine + "fine"))
	f.Add([]byte("HTTP/1.1 599 \x80\r\nContent-Length: 007\r\nConnection: Keep-Alive\r\nConnection: keep-alive\r\nProxy-Connection: x\r\n\r\n1234567"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent_Length: 7\r\nContent-Length: 0\r\nKeep-Alive: \r\nKeep-Alive: timeout=1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"))
	f.Fuzz(sameAnswerAsNetHTTP)
}

func sameAnswerAsNetHTTP(t *testing.T, b []byte) {
	var head Head
	size := head.Read(b)
	if size == 0 {
		return
	}
	in := bufio.NewReader(bytes.NewReader(b))
	want, err := http.ReadResponse(in, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatalf("%q: net/http refuses it: %v", b, err)
	}
	wantBody, _ := io.ReadAll(want.Body)
	gotBody := b[size:min(int64(len(b)), int64(size)+min(head.Length, int64(len(b))))]
	if !bytes.Equal(gotBody, wantBody) || want.ContentLength != head.Length {
		t.Errorf("%q: body %q of %d; net/http has %q of %d", b, gotBody, head.Length, wantBody, want.ContentLength)
	}
	if want.Close || len(want.TransferEncoding) > 0 || want.Trailer != nil || want.StatusCode != head.Status || want.Header.Get("Keep-Alive") != head.KeepAlive {
		t.Errorf("%q: net/http has %+v", b, want)
	}
	delete(want.Header, "Connection")
	delete(want.Header, "Keep-Alive")
	if got := head.Header(); !reflect.DeepEqual(got, want.Header) {
		t.Errorf("%q: %q; net/http has %q", b, got, want.Header)
	}
}
