package guard_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"havre/internal/guard"
	"havre/internal/guard/guardtest"
)

// Requests whose bodies never come cost a connection for a while, not for ever.
func TestBodyThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	set, _ := settings(t, func(*guard.Bounds) {})
	set.Patience = 100 * time.Millisecond
	guardtest.Start(t, set)
	for _, head := range []string{
		"POST /v1.41/networks/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"POST /v1.41/networks/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /v1.41/images/load?havre=havre.invalid/prod/a:1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: 100000\r\n\r\nsome",
		"POST /v1.41/unknown HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", // refused before it is read
	} {
		conn, err := net.Dial("unix", set.Socket)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, head)
		answer, err := io.ReadAll(conn) // to the connection's end
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400") {
			t.Errorf("%.60s: %v, %s", head, err, answer)
		}
		conn.Close()
	}
}

// slow is a body that pauses before each piece, and the connection of it.
type slow struct {
	httptest.ResponseRecorder
	pieces   int
	deadline time.Time
}

func (s *slow) SetReadDeadline(t time.Time) error { s.deadline = t; return nil }
func (s *slow) Close() error                      { return nil }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Second)
	if !time.Now().Before(s.deadline) {
		return 0, fmt.Errorf("too late")
	}
	if s.pieces--; s.pieces < 0 {
		return 0, io.EOF
	}
	return copy(p, "piece"), nil
}

// An upload may take hours, as long as it goes on. At its end nobody is in a
// hurry any more: the engine may take long.
func TestLongUploadIsWaitedForWhileItFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{pieces: 1000}
		body, err := guard.Patient(s, s, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(text, bytes.Repeat([]byte("piece"), 1000)) || !s.deadline.IsZero() {
			t.Errorf("%d bytes, %v, until %v", len(text), err, s.deadline)
		}
	})
}

func TestUserHasSoManyConnectionsAtATime(t *testing.T) {
	set, _ := settings(t, func(*guard.Bounds) {})
	set.Connections = 3
	guardtest.Start(t, set)
	ping := func(conn net.Conn) error {
		fmt.Fprint(conn, "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
		buf := make([]byte, 1000)
		n, err := conn.Read(buf)
		if err == nil && !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
			err = fmt.Errorf("it says %s", buf[:n])
		}
		return err
	}
	dial := func() net.Conn {
		conn, err := net.Dial("unix", set.Socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	// The connection by which the guard's start was awaited may still be there.
	var held []net.Conn
	for deadline := time.Now().Add(10 * time.Second); len(held) < 3 && time.Now().Before(deadline); {
		if conn := dial(); ping(conn) == nil {
			held = append(held, conn)
		}
	}
	if len(held) < 3 {
		t.Fatalf("only %d were let in", len(held))
	}
	for range 20 {
		if err := ping(dial()); err == nil {
			t.Fatal("a fourth was let in")
		}
	}
	if err := ping(held[0]); err != nil {
		t.Errorf("one that was let in: %v", err)
	}
	held[1].Close()
	for deadline := time.Now().Add(10 * time.Second); ping(dial()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("nobody is let in after one left")
		}
	}
}
