package docker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"havre/internal/lab"
)

const pair = `
services:
  a:
    image: app:1
    ports: ["%d:8080"]
  b: {image: "app:1"}
`

// inside asks a container to dial, and gives its answer.
func (h *havre) inside(t *testing.T, service, address string) string {
	t.Helper()
	return strings.TrimSpace(h.must(t, "exec", service, "--", "/app", "dial", address))
}

func TestProjectsReachEachOtherOnlyByPublicPorts(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "east", fmt.Sprintf(pair, 18253))
	h.apply(t, "west", "services: {c: {image: 'app:1'}}")
	if got := h.inside(t, "east.b", "a:8080"); got != "ok" {
		t.Errorf("services of one project see each other by name: %s", got)
	}
	for _, name := range []string{"east.a", "east.b"} {
		s, err := h.service(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range strings.Fields(h.world.Docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", s.Tasks[0].Container)) {
			if got := h.inside(t, "west.c", address+":8080"); got == "ok" {
				t.Errorf("west.c reaches %s at %s", name, address)
			}
		}
	}
	if got := h.inside(t, "west.c", "a:8080"); got == "ok" {
		t.Error("west.c finds a service of another project by name")
	}
	gateway := h.world.Address.String()
	if got := h.inside(t, "west.c", gateway+":18253"); got != "ok" {
		t.Errorf("the public port must be open to everybody: %s", got)
	}
	for _, closed := range []string{"7080", "2377", "7946"} {
		if got := h.inside(t, "west.c", gateway+":"+closed); got == "ok" {
			t.Errorf("a container reaches port %s of the machine", closed)
		}
	}
}

// alias gives an interface of the machine around the world one more address
// until the test ends: the one that leads to the world.
func (h *havre) alias(t *testing.T, address netip.Addr) {
	t.Helper()
	nics, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, nic := range nics {
		has, _ := nic.Addrs() // one that went meanwhile has none
		if !slices.ContainsFunc(has, func(a net.Addr) bool { return strings.HasPrefix(a.String(), h.world.Gateway.String()+"/") }) {
			continue
		}
		change := func(verb string) {
			if out, err := exec.Command("ip", "address", verb, address.String()+"/32", "dev", nic.Name).CombinedOutput(); err != nil {
				t.Errorf("ip address %s %s: %v: %s", verb, address, err, out)
			}
		}
		change("add")
		t.Cleanup(func() { change("del") })
		return
	}
	t.Fatalf("no interface has %s", h.world.Gateway)
}

// datagrams counts what comes to an address of the machine around the world.
func datagrams(t *testing.T, address netip.Addr) (*atomic.Int64, string) {
	t.Helper()
	l, err := net.ListenPacket("udp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	var came atomic.Int64
	var counting sync.WaitGroup
	counting.Go(func() {
		for {
			if _, _, err := l.ReadFrom(make([]byte, 16)); err != nil {
				return
			}
			came.Add(1)
		}
	})
	t.Cleanup(func() {
		l.Close()
		counting.Wait()
	})
	return &came, l.LocalAddr().String()
}

// Whenever the engine makes a network it takes its jumps out of FORWARD and puts
// them back, DOCKER-USER's too. What a container sends to an address of another
// project in between would leave by the machine's own router, and whatever is
// there may answer: a dial that is answered so looks like a fence with a hole.
func TestNothingPassesWhileTheEngineMovesItsRules(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "strays", "services: {c: {image: 'app:1'}}")
	s, err := h.service(t.Context(), "strays.c")
	if err != nil {
		t.Fatal(err)
	}
	own := netip.MustParseAddr(strings.Fields(h.world.Docker(t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", s.Tasks[0].Container))[0]).As4()
	other := netip.AddrFrom4([4]byte{10, 87, own[2] ^ 128, 200})
	h.alias(t, other)
	came, address := datagrams(t, other)
	control, open := datagrams(t, h.world.Gateway)
	h.must(t, "exec", "strays.c", "--", "/app", "send", open, "200ms")
	lab.Eventually(t, "a datagram by the same way to an address that nobody closes", func(context.Context) error {
		if control.Load() == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	var sending sync.WaitGroup
	sending.Go(func() { h.run(t, "exec", "strays.c", "--", "/app", "send", address, "8s") })
	for n := range 20 {
		name := fmt.Sprintf("moving-%d", n)
		h.world.Docker(t, "network", "create", name)
		h.world.Docker(t, "network", "rm", name)
	}
	sending.Wait()
	if n := came.Load(); n != 0 {
		t.Errorf("%d datagrams came through to %s", n, address)
	}
}

func TestContainersAndBuildsCannotReachTheMetadataOfACloud(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "cloud", "services: {c: {image: 'app:1'}}")
	const metadata = "169.254.169.254"
	h.onMachine(t, "ip", "address", "add", metadata+"/32", "dev", "lo")
	t.Cleanup(func() { // its own context has ended by then
		if out, err := h.world.Command(context.Background(), "ip", "address", "del", metadata+"/32", "dev", "lo").CombinedOutput(); err != nil {
			t.Errorf("ip address del: %v: %s", err, out)
		}
	})
	for _, port := range []string{"8099", "53"} {
		l, err := h.world.Listen(t.Context(), "tcp", metadata+":"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	if got := h.inside(t, "cloud.c", metadata+":53"); got != "ok" {
		t.Errorf("a cloud's name server may be there: %s", got)
	}
	if got := h.inside(t, "cloud.c", metadata+":8099"); got != "timeout" {
		t.Errorf("a container dials the metadata: %s", got)
	}
	dir := t.TempDir()
	h.write(t, dir+"/Dockerfile", "FROM app:1\nRUN [\"/app\", \"dial\", \""+metadata+":53\"]\nRUN [\"/app\", \"dial\", \""+metadata+":8099\"]\n")
	got := h.run(t, "image", "build", "-t", "cloud:1", dir)
	if got.code != 0 || strings.Count(got.out+got.errs, "\nok\n") != 1 || !strings.Contains(got.out+got.errs, "\ntimeout\n") {
		t.Errorf("a build dials the metadata: %d\n%s%s", got.code, got.out, got.errs)
	}
}

func TestFirewallKeepsContainersFromTheClusterPorts(t *testing.T) {
	t.Parallel()
	h := up(t)
	for _, tool := range []string{"iptables", "ip6tables"} {
		out, err := h.world.Command(t.Context(), tool, "-w", "-S").Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range []string{"4789", "7946", "2377", "7080"} {
			if !strings.Contains(string(out), port) {
				t.Errorf("%s has no rule for %s:\n%s", tool, port, out)
			}
		}
	}
}

func TestAccessIsJudgedByTheTrueClientAddress(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "access", `
services:
  s:
    image: app:1
    ports: ["18040:8080", "127.0.0.1:18041:8080"]
    environment: {HTTP: "8080", TCP: "9000"}
`)
	outside := &net.Dialer{Timeout: 3 * time.Second}
	remote := func(ctx context.Context, _, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		return outside.DialContext(ctx, "tcp", net.JoinHostPort(h.world.Address.String(), port))
	}
	if got, err := ask(t.Context(), remote, "http://public:18040/"); err != nil || got != "v1" {
		t.Errorf("public from outside: %q, %v", got, err)
	}
	if _, err := ask(t.Context(), remote, "http://local:18041/"); err == nil {
		t.Error("a port of localhost answers from outside")
	}
	if got, err := h.get(t.Context(), "http://127.0.0.1:18041/"); err != nil || got != "v1" {
		t.Errorf("localhost from the machine: %q, %v", got, err)
	}
}

func TestPrivateAccessLetsLocalNetworksInAndContainersNot(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "private", `
services:
  s:
    image: app:1
    x-havre: {domains: ["private.test"], access: private}
  c: {image: "app:1"}
`)
	neighbour := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(h.world.Address, 80).String())
	}
	if got, err := ask(t.Context(), neighbour, "http://private.test/"); err != nil || got != "v1" {
		t.Errorf("from a neighbour at %s: %q, %v", h.world.Gateway, got, err)
	}
	if code := h.statusFrom(t, "private.c", "private.test", "http://"+h.world.Address.String()+"/"); code != "403" {
		t.Errorf("a container gets %s from a private service, want 403", code)
	}
	if got, err := ask(t.Context(), h.fromMachine(80), "http://private.test/"); err != nil || got != "v1" {
		t.Errorf("from this machine: %q, %v", got, err)
	}
}

// fromMachine dials the machine's own port whatever the URL's host is.
func (h *havre) fromMachine(port int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return h.world.Dial(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	}
}

func TestDomainIsServedWithTLSOfOurOwnAuthority(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "domain", "services: {s: {image: 'app:1', x-havre: {domains: [shop.test]}}}")
	if got, err := ask(t.Context(), h.fromMachine(80), "http://shop.test/host"); err != nil || got != "shop.test" {
		t.Errorf("plain: %q, %v", got, err)
	}
	roots := x509.NewCertPool()
	if pem := h.authority(t); !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate: %s", pem)
	}
	web := &http.Client{Transport: &http.Transport{DialContext: h.fromMachine(443), TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := web.Get("https://shop.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); strings.TrimSpace(string(text)) != "v1" {
		t.Errorf("got %q", text)
	}
	if _, err := web.Get("https://unknown.test/"); err == nil {
		t.Error("an unknown name must get no certificate")
	}
	if _, err := ask(t.Context(), h.fromMachine(80), "http://unknown.test/"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("an unknown host must get 404: %v", err)
	}
}

// authority asks the API for its root certificate.
func (h *havre) authority(t *testing.T) []byte {
	t.Helper()
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.data+"/run/server/server.sock")
	}}}
	resp, err := web.Get("http://localhost/v1/authority")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPortalHasNoRights(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "rights", "services: {s: {image: 'app:1'}}")
	id := h.world.Docker(t, "ps", "-q", "--no-trunc", "--filter", "label=havre.kind=portal")
	if strings.Contains(id, "\n") || id == "" {
		t.Fatalf("portals: %q, want one", id)
	}
	got := h.world.Docker(t, "inspect", "-f", "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.Privileged}} {{.HostConfig.SecurityOpt}} {{.Config.User}}", id)
	if !strings.HasPrefix(got, "true [ALL] false [no-new-privileges") || strings.Contains(got, "65534:") {
		t.Errorf("portal: %s", got)
	}
	pid := h.world.Docker(t, "inspect", "-f", "{{.State.Pid}}", id)
	if forwards, err := exec.Command("nsenter", "--target", pid, "--net", "cat", "/proc/sys/net/ipv4/ip_forward").Output(); err != nil || string(forwards) != "0\n" {
		t.Errorf("the portal forwards: %q, %v", forwards, err)
	}
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 && kib > 8<<10 {
			t.Errorf("the portal has %d KiB resident, more than 8 MiB", kib)
		}
	}
}

// dialPortal connects to the portal as a user and group of the machine: this
// thread alone takes them on.
func (h *havre) dialPortal(uid, gid uintptr) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its user
		_, _, e := syscall.RawSyscall(syscall.SYS_SETRESGID, gid, gid, gid)
		if e == 0 {
			_, _, e = syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, uid)
		}
		if e != 0 {
			err = e
			return
		}
		conn, err = net.Dial("unix", h.data+"/portal/prod/portal.sock")
	}()
	<-done
	return conn, err
}

// A process that got the portal's directory, or its user, would otherwise be
// given connections into every container of the environment.
func TestPortalServesTheIngressAlone(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "served", "services: {s: {image: 'app:1'}}")
	if conn, err := h.dialPortal(65534, 65534); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("nobody opens the socket: %v, %v", conn, err)
	}
	number := func(flag, name string) uintptr {
		text, err := exec.Command("id", flag, name).Output()
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return uintptr(n)
	}
	group := number("-g", "havre-ingress")
	for name, want := range map[string]string{"havre": "denied", "havre-portal": "denied", "havre-ingress": "bad-request", "root": "bad-request"} {
		conn, err := h.dialPortal(number("-u", name), group)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, _ = io.WriteString(conn, "{}\n") // who is denied is not heard
		var got struct{ Kind string }
		if err = errors.Join(json.NewDecoder(conn).Decode(&got), conn.Close()); err != nil || got.Kind != want {
			t.Errorf("%s is told %q, %v; want %q", name, got.Kind, err, want)
		}
	}
}
