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
	if err := r.listen("127.0.0.1:0"); err != nil {
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

func echoServer(t *testing.T) string {
	t.Helper()
	r := &relay{}
	t.Cleanup(r.close)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
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
