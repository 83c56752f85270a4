package lab

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// It is inside the package because the relay is: only hosts whose resolver is
// on their loopback have one.
func TestRelayPassesQuestionsOn(t *testing.T) {
	r := &relay{to: echoServer(t)}
	if err := r.listen(freeForBoth(t)); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	at := r.closers[0].(net.PacketConn).LocalAddr().String()
	for _, network := range []string{"udp", "tcp"} {
		conn, err := net.Dial(network, at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		question, answer := []byte("who is there?"), make([]byte, 13)
		if _, err := conn.Write(question); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil || !bytes.Equal(answer, question) {
			t.Errorf("%s: answer %q, %v", network, answer, err)
		}
		conn.Close()
	}
}

// freeForBoth is an address at which nobody has the UDP nor the TCP port. The
// kernel chooses a free port for one of the two only.
func freeForBoth(t *testing.T) string {
	t.Helper()
	for range 50 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := packets.LocalAddr().String()
		streams, err := net.Listen("tcp", at)
		packets.Close()
		if err == nil {
			streams.Close()
			return at
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return ""
}

func echoServer(t *testing.T) string {
	t.Helper()
	r := &relay{}
	t.Cleanup(r.close)
	at := freeForBoth(t)
	packets, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	r.closers = []io.Closer{packets, streams}
	r.serving.Go(func() {
		buffer := make([]byte, 512)
		for {
			n, peer, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(buffer[:n], peer)
		}
	})
	r.serving.Go(func() {
		for {
			conn, err := streams.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}
	})
	return packets.LocalAddr().String()
}
