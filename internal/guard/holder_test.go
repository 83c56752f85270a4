package guard_test

import (
	"net"
	"os"
	"testing"

	"havre/internal/dockercall"
	"havre/internal/guard"
)

func TestHolderIsNamedForTCPAndUDP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tcp, udp := uint16(l.Addr().(*net.TCPAddr).Port), uint16(c.LocalAddr().(*net.UDPAddr).Port)
	for call, ours := range map[dockercall.Holder]bool{
		{Port: tcp}: true, {Port: tcp, Protocol: "tcp"}: true, {Port: udp, Protocol: "udp"}: true,
		{Port: udp}: false, {Port: tcp, Protocol: "udp"}: false,
	} {
		answer, err := guard.HolderOf(call)
		if err != nil || (answer.PID == os.Getpid()) != ours || ours && answer.Name == "" {
			t.Errorf("%+v: %+v, %v", call, answer, err)
		}
	}
}
