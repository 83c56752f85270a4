package role_test

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"havre/internal/project"
	"havre/internal/role"
	"havre/internal/spec"
)

func TestRoutesAreReadAsTheKernelWritesThem(t *testing.T) {
	for text, want := range map[string]string{"0000580A": "10.88.0.0", "00FFFFFF": "255.255.255.0", "00000000": "0.0.0.0"} {
		if got, ok := role.LittleEndian(text); !ok || got != netip.MustParseAddr(want) {
			t.Errorf("%s is %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "0A", "0A5800000", "XXXXXXXX", "0A58000000"} {
		if got, ok := role.LittleEndian(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
	routes, err := role.Routes()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Bits() == 0 || r != r.Masked() || !r.Addr().Is4() {
			t.Errorf("%s is no network of this machine", r)
		}
	}
}

func TestHolderIsWhoListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := project.Port{Number: uint16(l.Addr().(*net.TCPAddr).Port), Protocol: spec.TCP}
	who, taken := role.Holder("nobody's uid", port)
	if !taken || !strings.HasPrefix(who, "a program of the user ") {
		t.Errorf("%q, %v", who, taken)
	}
	if who, taken := role.Holder(strconv.Itoa(os.Getuid()), port); taken {
		t.Errorf("our own port is taken by %s", who)
	}
	udp := port
	udp.Protocol = spec.UDP
	if _, taken := role.Holder("", udp); taken {
		t.Error("a TCP port is no UDP port")
	}
	c, err := net.Dial("tcp", l.Addr().String()) // a port that only talks is not taken
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	port.Number = uint16(c.LocalAddr().(*net.TCPAddr).Port)
	if who, taken := role.Holder("", port); taken {
		t.Errorf("the port of a connection is taken by %s", who)
	}
}

// DNS and syslog are held by other programs, too.
func TestDoctorKnowsWhoHasAUDPPort(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	number := c.LocalAddr().(*net.UDPAddr).Port
	if h := role.ListenerHolder(fmt.Sprintf(":%d/udp", number)); !h.There || h.PID != os.Getpid() {
		t.Errorf("who has it: %+v; want this test", h)
	}
	if h := role.ListenerHolder(fmt.Sprintf(":%d/tcp", number)); h.PID == os.Getpid() {
		t.Errorf("a UDP port is no TCP port: %+v", h)
	}
}

func TestHolderSeesIPv6(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 here: %v", err)
		return
	}
	defer l.Close()
	if _, taken := role.Holder("", project.Port{Number: uint16(l.Addr().(*net.TCPAddr).Port), Protocol: spec.TCP}); !taken {
		t.Error("it is free")
	}
}

func TestEverythingIsBelowTheDataDirectory(t *testing.T) {
	l := role.Layout{Data: "/srv/havre"}
	seen := map[string]bool{}
	for _, p := range []string{
		l.Config("x"), l.Log("x"), l.Pid("x"), l.GuardDir(), l.VolumeDir(), l.PortalDir(), l.GuardSocket(), l.ServerSocket(), l.IngressSocket(),
		l.Database(), l.Token(), l.AuthorityDir(), l.Table(),
	} {
		if !strings.HasPrefix(p, "/srv/havre/") || seen[p] {
			t.Errorf("%s is elsewhere, or twice", p)
		}
		seen[p] = true
	}
}

// A wrong owner or mode is a hole, so it is set right each time.
func TestDirectoriesAreClosedToOthers(t *testing.T) {
	l := role.Layout{Data: filepath.Join(t.TempDir(), "data")}
	if os.Geteuid() != 0 {
		if err := l.Prepare(os.Getuid(), os.Getgid()); err == nil {
			t.Error("who is not root cannot give directories to root, and it says nothing")
		}
		return
	}
	for range 2 {
		if err := l.Prepare(65534, 65534); err != nil {
			t.Fatal(err)
		}
		for dir, mode := range map[string]fs.FileMode{
			"": 0o711, "guard": 0o700, "volume": 0o700, "server": 0o700, "ingress": 0o700, "log": 0o700, "run": 0o711, "run/pid": 0o700,
			"portal": 0o711, "run/ingress": fs.ModeSetgid | 0o750, "server/token": 0o400,
		} {
			info, err := os.Stat(filepath.Join(l.Data, dir))
			if err != nil || info.Mode()&(fs.ModePerm|fs.ModeSetgid) != mode {
				t.Errorf("%q: %v, %v; want %v", dir, info, err, mode)
			}
		}
		token, err := os.ReadFile(l.Token())
		if err != nil || len(token) < 64 {
			t.Errorf("the token is %d bytes, %v", len(token), err)
		}
		if err := os.Chmod(l.GuardDir(), 0o777); err != nil { // the second time sets it right
			t.Fatal(err)
		}
	}
	if err := l.Prepare(65534, 65534); err != nil {
		t.Error(err)
	}
}
