package ingress_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

// insideNetns says that the test runs in a network namespace of its own.
const insideNetns = "HAVRE_TEST_NETNS"

// inNetns runs test in a copy of this program that has a network namespace of
// its own, in which nothing is up.
func inNetns(t *testing.T, test func(*testing.T)) {
	t.Helper()
	if os.Getenv(insideNetns) != "" {
		test(t)
		return
	}
	_, err := exec.LookPath("ip")
	if os.Geteuid() != 0 || err != nil {
		if mustRun() {
			t.Fatal("needs root and the program ip, as HAVRE_NEED says")
		}
		t.Skip("needs root and the program ip")
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), insideNetns+"=yes")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// mustRun tells whether tests for root may not skip.
func mustRun() bool {
	return slices.Contains(strings.Split(os.Getenv("HAVRE_NEED"), ","), "docker")
}

func TestMachineWithoutIPv6Serves(t *testing.T) {
	inNetns(t, func(t *testing.T) {
		ip(t, "link set lo up")
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0); err != nil {
			t.Skip("it has none at all: ", err)
		}
		if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
			l.Close()
			t.Fatal("there is IPv6 still")
		}
		w := open(t, func(s *ingress.Settings) { s.Bind = netip.Addr{} })
		everywhere, near := tcpRoute(freePort(t), w.says("hi")), tcpRoute(freePort(t), w.says("hi"))
		near.Access = spec.Localhost
		w.must(route.Table{TCP: []route.TCP{everywhere, near}})
		for _, port := range []uint16{everywhere.Listen, near.Listen} {
			if word, err := read(t, port); err != nil || word != "hi" {
				t.Errorf("%d: %q, %v", port, word, err)
			}
		}
	})
}

// Real clients on real networks: one that looks like the engine's, a local one
// and a foreign one. All of it is in network namespaces that end with the test.
func TestAccessHoldsOnRealNetworks(t *testing.T) { inNetns(t, accessOnRealNetworks) }

// outside runs functions in another network namespace.
type outside struct {
	path string
	work chan func()
}

func newOutside(t *testing.T) *outside {
	o := &outside{work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		o.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
		ready <- err
		for f := range o.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(o.work) })
	return o
}

func (o *outside) do(f func()) {
	done := make(chan struct{})
	o.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func ip(t *testing.T, line string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
		t.Errorf("ip %s: %v: %s", line, err, out) // not Fatal: o's goroutine must live on
	}
}

// realNetwork is one between the machine, which has the link, and clients.
type realNetwork struct{ link, machine, client string }

// realNetworks makes a local network, one that looks like the engine's, and a
// foreign one. The clients are outside.
func realNetworks(t *testing.T) (*outside, []realNetwork) {
	ip(t, "link set lo up")
	o := newOutside(t)
	o.do(func() { ip(t, "link set lo up") })
	nets := []realNetwork{
		{"eth0", "192.168.50.1", "192.168.50.7"},
		{"docker_gwbridge", "172.18.0.1", "172.18.0.7"},
		{"wan0", "203.0.113.1", "203.0.113.7"},
	}
	for i, n := range nets {
		peer := fmt.Sprintf("p%d", i)
		ip(t, fmt.Sprintf("link add %s type veth peer name %s netns %s", n.link, peer, o.path))
		ip(t, fmt.Sprintf("address add %s/24 dev %s", n.machine, n.link))
		ip(t, fmt.Sprintf("link set %s up", n.link))
		o.do(func() {
			ip(t, fmt.Sprintf("address add %s/24 dev %s", n.client, peer))
			ip(t, fmt.Sprintf("link set %s up", peer))
		})
	}
	return o, nets
}

func accessOnRealNetworks(t *testing.T) {
	o, nets := realNetworks(t)
	w := open(t, func(s *ingress.Settings) { s.Bind = netip.Addr{} })
	hi, page := w.says("hi"), w.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-For"))
	}))
	ports := map[spec.Access]uint16{}
	table := route.Table{HTTPPort: freePort(t), HTTPSPort: freePort(t)}
	for _, access := range []spec.Access{spec.Public, spec.Private, spec.Localhost} {
		ports[access] = freePort(t)
		table.TCP = append(table.TCP, route.TCP{Listen: ports[access], Access: access, Service: "prod.a.b", Targets: []route.Target{hi}})
		table.HTTP = append(table.HTTP, route.HTTP{Host: string(access) + ".example", Access: access, Service: "prod.a.b", Targets: []route.Target{page}})
	}
	w.must(table)

	check := func(from, to string, may map[spec.Access]bool) {
		for access, port := range ports {
			if got, err := tcpFrom(from, to, port); may[access] != (got == "hi") {
				t.Errorf("tcp from %s to %s, %s: %q, %v", from, to, access, got, err)
			}
			status, body := httpFrom(from, to, table.HTTPPort, string(access)+".example")
			if may[access] && (status != http.StatusOK || body != from) {
				t.Errorf("http from %s, %s: %d %q", from, access, status, body)
			}
			if !may[access] && status != http.StatusForbidden {
				t.Errorf("http from %s, %s: %d; want 403", from, access, status)
			}
		}
	}
	o.do(func() {
		check(nets[0].client, nets[0].machine, map[spec.Access]bool{spec.Public: true, spec.Private: true})
		check(nets[1].client, nets[1].machine, map[spec.Access]bool{spec.Public: true})
		check(nets[2].client, nets[2].machine, map[spec.Access]bool{spec.Public: true})
	})
	check("127.0.0.1", "127.0.0.1", map[spec.Access]bool{spec.Public: true, spec.Private: true, spec.Localhost: true})
	if l := w.listener(fmt.Sprintf(":%d/tcp", ports[spec.Private])); l.Denied != 2 || l.Total != 4 {
		t.Errorf("private: denied %d of %d", l.Denied, l.Total)
	}
}

func from(address string) net.Dialer {
	return net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 0))}
}

func tcpFrom(client, machine string, port uint16) (string, error) {
	d := from(client)
	c, err := d.Dial("tcp", net.JoinHostPort(machine, fmt.Sprint(port)))
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

// httpFrom speaks HTTP in this goroutine, whose thread is where it should be.
func httpFrom(client, machine string, port uint16, host string) (int, string) {
	d := from(client)
	c, err := d.Dial("tcp", net.JoinHostPort(machine, fmt.Sprint(port)))
	if err != nil {
		return 0, err.Error()
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n\r\n", host)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(b)
}
