package portal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"havre/internal/lab"
	"havre/internal/portal"
	"havre/internal/portal/portaltest"
)

// fence is a network of the engine with a portal in it. Everything in it goes
// with the test.
type fence struct {
	engine  *lab.World
	network string
	subnet  netip.Prefix
	image   string // of an echo
	portal  string // id of the portal's container
	socket  string
	last    netip.Addr // that was given to a container
}

func newFence(t testing.TB) *fence {
	t.Helper()
	f := &fence{engine: shared.World(t), network: "portal-" + strings.ToLower(portaltest.ID(t.Name())[:10])}
	f.image = f.load(t, archiveOf(t, portal.Recipe{
		User:       "65534",
		Entrypoint: []string{"/echo"},
		Files:      []portal.File{{Path: "echo", Mode: 0o555, Body: bytesOf(t, "./testdata/echo")}},
	}))
	f.makeNetwork(t)
	f.startPortal(t)
	return f
}

func archiveOf(t testing.TB, r portal.Recipe) portal.Archive {
	t.Helper()
	a, err := portal.NewArchive(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// load gives the engine an image, and holds it to the id that was computed.
func (f *fence) load(t testing.TB, a portal.Archive) string {
	t.Helper()
	name := a.ID
	if a.Tag != "" {
		name = a.Tag
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, a.Bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	f.engine.Docker(t, "load", "--quiet", "--input", file)
	if id := f.engine.Docker(t, "image", "inspect", "--format", "{{.Id}}", name); id != a.ID && id != a.Digest {
		t.Errorf("the engine calls the image %s; computed were %s and, for containerd, %s", id, a.ID, a.Digest)
	}
	return name
}

// inSwarm makes the shared engine a swarm's manager.
var inSwarm sync.Once

// subnets counts those of the fences.
var subnets atomic.Int32

// makeNetwork makes an overlay as Havre does, so small that addresses recur.
func (f *fence) makeNetwork(t testing.TB) {
	t.Helper()
	inSwarm.Do(func() { f.engine.Docker(t, "swarm", "init", "--advertise-addr", f.engine.Address.String()) })
	f.subnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, byte(subnets.Add(1)), 0}), 28)
	f.engine.Docker(t, "network", "create", "--driver", "overlay", "--attachable", "--subnet", f.subnet.String(), f.network)
	t.Cleanup(func() {
		eventually(t, "the network to go", func() error {
			_, err := f.engine.Ask(context.Background(), "network", "rm", f.network)
			return err
		})
	})
	// The first addresses are the gateway's and, on each node of a swarm, a balancer's.
	f.last = f.subnet.Addr().Next().Next().Next()
}

// start creates a container at an address of the network, and starts it. The
// engine may take a moment to give an address away that it got back.
func (f *fence) start(t testing.TB, image string, at netip.Addr, options ...string) (id string) {
	t.Helper()
	args := append([]string{"create", "--network", f.network, "--ip", at.String()}, options...)
	id = f.engine.Docker(t, append(args, image)...)
	t.Cleanup(func() { f.remove(t, id) })
	eventually(t, "a container to start at "+at.String(), func() error {
		_, err := f.engine.Ask(t.Context(), "start", id)
		return err
	})
	return id
}

// remove takes containers away, also those that are gone.
func (f *fence) remove(t testing.TB, ids ...string) {
	t.Helper()
	if _, err := f.engine.Ask(context.Background(), append([]string{"rm", "--force", "--volumes"}, ids...)...); err != nil {
		t.Error(err)
	}
}

// startPortal runs the portal as Havre does, plus two lines in its hosts file
// that it must not believe. Without ndots the engine would ask the host's name
// servers for ids that it doesn't know.
func (f *fence) startPortal(t testing.TB) {
	t.Helper()
	archive, err := portal.ImageOf(bytesOf(t, "havre/cmd/havre-portal"), portal.Users{Own: 65534})
	if err != nil {
		t.Fatal(err)
	}
	image := f.load(t, archive)
	dir := socketDir(t)
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	f.socket = filepath.Join(dir, "portal.sock")
	f.portal = f.start(t, image, f.last,
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "65534:65534",
		"--dns-option", "ndots:1", "--memory", "32m",
		"--add-host", hostsOnly[:12]+":"+f.last.Next().String(),
		"--add-host", hostsOnly[:12]+".:"+f.last.Next().String(),
		"--volume", dir+":/portal")
	listening(t, f.socket)
}

// hostsOnly is an id that only the portal's /etc/hosts knows, as being the
// first container's.
var hostsOnly = portaltest.ID("hosts")

// run starts an echo at the next address.
func (f *fence) run(t testing.TB, args ...string) portal.Target {
	t.Helper()
	f.last = f.last.Next()
	return f.runAt(t, f.last, args...)
}

func (f *fence) runAt(t testing.TB, at netip.Addr, args ...string) portal.Target {
	t.Helper()
	to := portal.Target{Container: f.start(t, f.image, at, args...), Address: at, Port: 7}
	eventually(t, "the echo to listen", func() error {
		c, err := portal.Dial(t.Context(), f.socket, to)
		if err == nil {
			c.Close()
		}
		return ignoreDouble(err)
	})
	return to
}

// ignoreDouble makes a container count as up that has a second address.
func ignoreDouble(err error) error {
	if err != nil && strings.Contains(err.Error(), "has 2 addresses") {
		return nil
	}
	return err
}

func TestPortalInItsContainer(t *testing.T) {
	t.Parallel()
	f := newFence(t)
	a, b := f.run(t), f.run(t)
	double := f.run(t)
	f.run(t, "--network-alias", double.Container[:12])
	w := portaltest.World{Socket: f.socket, Echo: a, Other: b, Double: double}

	t.Run("contract", func(t *testing.T) {
		portaltest.RunPortal(t, func(*testing.T) portaltest.World { return w })
	})
	t.Run("has no rights", f.checkRights)
	t.Run("is of an image that is what it was made of", f.checkImage)
	t.Run("does not believe its hosts file", func(t *testing.T) {
		portaltest.Refused(t, f.socket, portal.Target{Container: hostsOnly, Address: a.Address, Port: 7}, portal.Unknown)
	})
	t.Run("refuses an address that another container has by now", func(t *testing.T) {
		gone := f.run(t)
		f.remove(t, gone.Container)
		now := f.runAt(t, gone.Address)
		portaltest.Refused(t, f.socket, gone, portal.Unknown)
		portaltest.Talk(t, f.socket, now)
	})
	t.Run("refuses the id of a container on other networks", func(t *testing.T) {
		other := f.engine.Docker(t, "run", "--detach", "--network", "none", f.image)
		t.Cleanup(func() { f.remove(t, other) })
		portaltest.Refused(t, f.socket, portal.Target{Container: other, Address: a.Address, Port: 7}, portal.Unknown)
	})
	t.Run("stays within 8 MiB", func(t *testing.T) {
		for range 20 {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { portaltest.Talk(t, f.socket, a) })
			}
			all.Wait()
		}
		checkResident(t, f.pid(t))
	})
	t.Run("ends within the engine's patience", func(t *testing.T) {
		f.engine.Docker(t, "stop", f.portal)
		if code := f.engine.Docker(t, "inspect", "--format", "{{.State.ExitCode}}", f.portal); code != "1" {
			t.Errorf("exit code %s; want 1, with which it returns with the engine", code)
		}
	})
}

func (f *fence) pid(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(f.engine.Docker(t, "inspect", "--format", "{{.State.Pid}}", f.portal))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// checkRights looks at the running process from outside.
func (f *fence) checkRights(t *testing.T) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.pid(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n",
		"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
		"CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
	} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the status of the process has no line %q", want)
		}
	}
	root, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", f.pid(t)))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(root)) {
		if mount := strings.Fields(line); mount[4] == "/" && !strings.HasPrefix(mount[5], "ro,") {
			t.Errorf("the root is mounted %s; want it read-only", mount[5])
		}
	}
}

func (f *fence) checkImage(t *testing.T) {
	var images []struct {
		Architecture string
		Config       struct {
			User       string
			Entrypoint []string
			Volumes    map[string]any
			Env        []string
		}
	}
	about := f.engine.Docker(t, "image", "inspect", f.engine.Docker(t, "inspect", "--format", "{{.Image}}", f.portal))
	if err := json.Unmarshal([]byte(about), &images); err != nil || len(images) != 1 {
		t.Fatalf("images = %v, %v", images, err)
	}
	c := images[0].Config
	if c.User != "65534" || len(c.Entrypoint) != 2 || c.Entrypoint[1] != "-callers=" || c.Entrypoint[0] != "/havre-portal" || len(c.Volumes) != 0 {
		t.Errorf("config = %+v", c)
	}
}

func BenchmarkDialIntoContainer(b *testing.B) {
	f := newFence(b)
	to := f.run(b)
	for b.Loop() {
		c, err := portal.Dial(b.Context(), f.socket, to)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkCopyIntoContainer is what the ingress does: bytes from a client's
// TCP connection into one that was handed over.
func BenchmarkCopyIntoContainer(b *testing.B) {
	f := newFence(b)
	to := f.run(b)
	to.Port = 9
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	in, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	out, err := portal.Dial(b.Context(), f.socket, to)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	copied := make(chan error)
	go func() {
		_, err := io.Copy(out, in)
		copied <- err
	}()
	chunk := make([]byte, 1<<20)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := client.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	client.Close()
	if err := <-copied; err != nil {
		b.Error(err)
	}
}
