package holder_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"havre/internal/holder"
)

// us is how a process of ours is named.
func us(t *testing.T) (pid int, name string) {
	t.Helper()
	comm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(os.Getpid()), "comm"))
	if err != nil {
		t.Fatal(err)
	}
	return os.Getpid(), strings.TrimSpace(string(comm))
}

func TestWhoListensOnATCPPortIsFound(t *testing.T) {
	pid, name := us(t)
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(network, "localhost:0")
		if err != nil {
			t.Logf("no %s here: %v", network, err)
			continue
		}
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		sockets := holder.Sockets(false, port)
		if len(sockets) != 1 || sockets[0].User != strconv.Itoa(os.Getuid()) {
			t.Errorf("%s: sockets = %+v", network, sockets)
		}
		if p, n := holder.Process(sockets...); p != pid || n != name {
			t.Errorf("%s: it is %d %s; want %d %s", network, p, n, pid, name)
		}
		// Who is connected to it, from a port of its own, does not have it.
		c, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if s := holder.Sockets(false, uint16(c.LocalAddr().(*net.TCPAddr).Port)); len(s) > 0 {
			t.Errorf("%s: a client's port is %+v's", network, s)
		}
		c.Close()
		l.Close()
		if s := holder.Sockets(false, port); len(s) > 0 {
			t.Errorf("%s: a port that is free is %+v's", network, s)
		}
	}
}

func TestWhoTakesDatagramsOfAnybodyIsFound(t *testing.T) {
	takes, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer takes.Close()
	sockets := holder.Sockets(true, uint16(takes.LocalAddr().(*net.UDPAddr).Port))
	if pid, _ := holder.Process(sockets...); len(sockets) != 1 || pid != os.Getpid() {
		t.Errorf("sockets = %+v of %d", sockets, pid)
	}
	speaks, err := net.Dial("udp4", takes.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer speaks.Close()
	if s := holder.Sockets(true, uint16(speaks.LocalAddr().(*net.UDPAddr).Port)); len(s) > 0 {
		t.Errorf("who speaks with one alone has its port: %+v", s)
	}
}

func TestNobodyIsNamedWhereNobodyIs(t *testing.T) {
	if pid, name := holder.Process(); pid != 0 || name != "" {
		t.Errorf("no socket is %d %s's", pid, name)
	}
	if pid, name := holder.Process(holder.Socket{Inode: "none"}); pid != 0 || name != "" {
		t.Errorf("a socket that is not there is %d %s's", pid, name)
	}
	if got := holder.UserName("0"); got != "root" {
		t.Errorf("uid 0 is %s", got)
	}
	if got := holder.UserName("4294967290"); got != "4294967290" {
		t.Errorf("a uid without a name is %s", got)
	}
}
