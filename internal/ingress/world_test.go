package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/portal"
	"havre/internal/portal/portaltest"
	"havre/internal/route"
	"havre/internal/spec"
)

// world is an ingress with a portal and containers, all on the loopback:
// 127.0.1.1, 127.0.1.2 and so on are containers.
type world struct {
	t      testing.TB
	dir    string
	portal *portaltest.Fake
	set    ingress.Settings
	last   atomic.Int32 // container
}

// newWorld makes a world whose ingress does not run yet.
func newWorld(t testing.TB, change ...func(*ingress.Settings)) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "ingress") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t, dir: dir, portal: portaltest.Open(t)}
	w.set = ingress.Settings{
		TableFile:     filepath.Join(dir, "table.json"),
		ControlSocket: filepath.Join(dir, "ingress.sock"),
		Dial:          throughPortals(filepath.Join(dir, "portal")),
		Ask:           socketsOfPortals(filepath.Join(dir, "portal")),
		Bind:          netip.MustParseAddr("127.0.0.1"),
		Retry:         50 * time.Millisecond,
	}
	for _, c := range change {
		c(&w.set)
	}
	if err := os.Mkdir(filepath.Join(dir, "portal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(w.portal.Socket), filepath.Join(dir, "portal", "prod")); err != nil {
		t.Fatal(err)
	}
	return w
}

// throughPortals dials by the portals below dir, as the role does.
func throughPortals(dir string) ingress.Dial {
	return func(ctx context.Context, p spec.Protocol, t route.Target) (net.Conn, error) {
		c, err := portal.Dial(ctx, portalOf(dir, t), portal.Target{Container: t.Container, Address: t.Address, Port: t.Port, UDP: p == spec.UDP})
		return c, elsewhere(err)
	}
}

// socketsOfPortals does the same for bare sockets.
func socketsOfPortals(dir string) ingress.Ask {
	var d portal.Dialer
	return func(ctx context.Context, t route.Target, hears func(int, error)) {
		to := portal.Target{Container: t.Container, Address: t.Address, Port: t.Port}
		d.Ask(ctx, portalOf(dir, t), to, func(socket int, err error) { hears(socket, elsewhere(err)) })
	}
}

func portalOf(dir string, t route.Target) string {
	return filepath.Join(dir, t.Environment, "portal.sock")
}

func elsewhere(err error) error {
	var no *portal.Refusal
	if errors.As(err, &no) && (no.Kind == portal.Unknown || no.Kind == portal.Mismatch) {
		return errors.Join(ingress.ErrElsewhere, err)
	}
	return err
}

// open makes a world whose ingress runs until the test ends.
func open(t testing.TB, change ...func(*ingress.Settings)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.start()
	return w
}

// start runs the ingress until stop is called or the test ends.
func (w *world) start() (stop func()) {
	w.t.Helper()
	i, err := ingress.New(w.set)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			w.t.Error("the ingress does not stop")
		}
	})
	w.t.Cleanup(stop)
	w.ready()
	return stop
}

func (w *world) ready() {
	w.t.Helper()
	eventually(w.t, "the control socket", func() error {
		_, err := w.call("GET", "/status", nil)
		return err
	})
}

// call talks to the control socket and gives a good answer's body.
func (w *world) call(method, path string, body []byte) ([]byte, error) {
	var d net.Dialer
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", w.set.ControlSocket)
		},
	}}
	r, err := http.NewRequest(method, "http://ingress"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, b)
	}
	return b, err
}

// put makes the ingress follow table, and gives what it could not do.
func (w *world) put(table route.Table) []route.Problem {
	w.t.Helper()
	b, err := w.call("PUT", "/table", table.Encode())
	if err != nil {
		w.t.Fatal(err)
	}
	var a route.Applied
	if err := json.Unmarshal(b, &a); err != nil {
		w.t.Fatal(err)
	}
	return a.Problems
}

// must is put without problems.
func (w *world) must(table route.Table) {
	w.t.Helper()
	if p := w.put(table); len(p) > 0 {
		w.t.Fatalf("problems: %+v", p)
	}
}

func (w *world) status() route.Status {
	w.t.Helper()
	b, err := w.call("GET", "/status", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	var s route.Status
	if err := json.Unmarshal(b, &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// listener finds one by its name, ":25/tcp".
func (w *world) listener(name string) route.Listener {
	w.t.Helper()
	for _, l := range w.status().Listeners {
		if l.Listen == name {
			return l
		}
	}
	w.t.Fatalf("there is no listener %s", name)
	return route.Listener{}
}

// container starts one that gives each connection to handle, which closes it.
func (w *world) container(handle func(net.Conn)) route.Target {
	w.t.Helper()
	at := netip.AddrFrom4([4]byte{127, 0, 1, byte(w.last.Add(1))})
	l, err := net.Listen("tcp4", netip.AddrPortFrom(at, 0).String())
	if err != nil {
		w.t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex // guards open
	open := map[net.Conn]bool{}
	w.t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open { // a test that failed leaves some
			c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			serving.Go(func() {
				handle(c)
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	return w.placed(at, uint16(l.Addr().(*net.TCPAddr).Port))
}

// placed makes the portal know a container at an address.
func (w *world) placed(at netip.Addr, port uint16) route.Target {
	id := portaltest.ID(at.String())
	w.portal.Place(id, at)
	return route.Target{Environment: "prod", Container: id, Address: at, Port: port}
}

// says is a container that says a word to each connection and closes it.
func (w *world) says(word string) route.Target {
	return w.container(func(c net.Conn) {
		defer c.Close()
		io.WriteString(c, word)
	})
}

// echoes is a container that gives back what it gets.
func (w *world) echoes() route.Target { return w.container(echo) }

func echo(c net.Conn) {
	defer c.Close()
	io.Copy(c, c)
}

// handedOut is the last port that freePort gave.
var handedOut atomic.Uint32

// freePort is one that nobody listens on and that no other test was given. It
// is below those that the kernel gives to outgoing connections: with so many
// of them one might get it first.
func freePort(t testing.TB) uint16 {
	t.Helper()
	handedOut.CompareAndSwap(0, 10_000+rand.Uint32N(15_000)) // two runs at once should not meet
	for range 100 {
		port := uint16(handedOut.Add(1))
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port found")
	return 0
}

func tcpRoute(port uint16, targets ...route.Target) route.TCP {
	return route.TCP{Listen: port, Access: spec.Public, Service: "prod.mail.exim", Targets: targets}
}

func onlyTCP(port uint16, targets ...route.Target) route.Table {
	return route.Table{TCP: []route.TCP{tcpRoute(port, targets...)}}
}

func dial(t testing.TB, port uint16) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", local(port), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func local(port uint16) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))) }

// read is all that a new connection to port says until it is done.
func read(t testing.TB, port uint16) (string, error) {
	t.Helper()
	c, err := net.DialTimeout("tcp", local(port), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(c)
	return string(b), err
}

// talk sends a word and waits until it comes back.
func talk(t testing.TB, c net.Conn, word string) {
	t.Helper()
	if err := exchange(c, word); err != nil {
		t.Fatal(err)
	}
}

func exchange(c net.Conn, word string) error {
	if _, err := io.WriteString(c, word); err != nil {
		return err
	}
	b := make([]byte, len(word))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != word {
		return fmt.Errorf("%q came back as %q", word, b)
	}
	return nil
}

// eventually asks until ask succeeds, for half a minute at most.
func eventually(t testing.TB, what string, ask func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("waited in vain for %s: %v", what, err)
		case <-tick.C:
		}
	}
}
