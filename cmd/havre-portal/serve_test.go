package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// start serves p on a socket until the test ends, and gives the socket.
func start(t *testing.T, p *portal) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "portal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := takeOver(socket, "a")
	if err != nil {
		t.Fatal(err)
	}
	if p.callers == nil {
		p.callers = []uint32{uint32(os.Getuid())}
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- p.serve(ctx, l.UnixListener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return socket
}

// ask sends text and gives the answer.
func ask(t *testing.T, socket, text string) refusal {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	var r refusal
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		t.Fatalf("answer: %v", err)
	}
	return r
}

// as gives the kind of answer that a user gets: this thread alone takes the
// user on, which only root can. Who is denied need not be heard to the end.
func as(user uintptr, socket, text string) (kind string, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its user
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), user, ^uintptr(0)); e != 0 {
			err = e
			return
		}
		c, derr := net.Dial("unix", socket)
		if derr != nil {
			err = derr
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, text)
		var r refusal
		err = json.NewDecoder(c).Decode(&r)
		kind = r.Kind
	}()
	<-done
	return kind, err
}

// Whoever has the directory can open the socket to everybody, so the portal
// looks for itself.
func TestOnlyTheCallersThatItWasStartedForAreServed(t *testing.T) {
	const ingress, stranger, question = 64011, 64012, `{"v":1,"id":"x"}` + "\n"
	p := outside(nil, nil, nil)
	p.callers = []uint32{64010, ingress}
	socket := start(t, p)
	for _, name := range []string{filepath.Dir(socket), socket, socket + ".a"} {
		if err := os.Chmod(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	users := map[uintptr]string{0: "bad-request", ingress: "bad-request", stranger: "denied", 65534: "denied"}
	if self := os.Getuid(); self != 0 {
		users = map[uintptr]string{uintptr(self): "denied"}
	}
	for user, kind := range users {
		if got, err := as(user, socket, question); err != nil || got != kind {
			t.Errorf("user %d: %q, %v; want %s", user, got, err, kind)
		}
	}
}

func TestCallersAreNumbersOfUsers(t *testing.T) {
	for list, want := range map[string]string{"": "[]", "7": "[7]", "998,997": "[998 997]", "x": "", "7,": "", ",": "", "-1": "", "4294967296": "", "7 8": ""} {
		users, err := usersOf(list)
		if got := fmt.Sprint(users); (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%q gives %s, %v; want %s", list, got, err, want)
		}
	}
}

// outside is a portal whose engine says what the test wants.
func outside(found []netip.Addr, lookupErr, dialErr error) *portal {
	p := newPortal("")
	p.patience = 100 * time.Millisecond
	p.words.ask = func(context.Context, string) ([]netip.Addr, error) { return found, lookupErr }
	p.dial = func(context.Context, request) (int, error) { return -1, dialErr }
	return p
}

func TestEveryFailureHasItsKind(t *testing.T) {
	here := netip.MustParseAddr("10.87.3.5")
	one := []netip.Addr{here}
	mapped := []netip.Addr{netip.AddrFrom16(here.As16())}
	connect := func(e syscall.Errno) error { return os.NewSyscallError("connect", e) }
	for name, c := range map[string]struct {
		portal *portal
		kind   string
	}{
		"no such name":      {outside(nil, &net.DNSError{IsNotFound: true}, nil), "unknown"},
		"servers fail":      {outside(nil, &net.DNSError{IsTemporary: true}, nil), "unknown"},
		"another failure":   {outside(nil, errors.New("odd"), nil), "unknown"},
		"no answer in time": {outside(nil, &net.DNSError{IsTimeout: true}, nil), "timeout"},
		"no address":        {outside(nil, nil, nil), "mismatch"},
		"two addresses":     {outside([]netip.Addr{here, here.Next()}, nil, nil), "mismatch"},
		"the same twice":    {outside([]netip.Addr{here, here}, nil, nil), "mismatch"},
		"another address":   {outside([]netip.Addr{here.Next()}, nil, nil), "mismatch"},
		"nothing listens":   {outside(one, nil, connect(syscall.ECONNREFUSED)), "refused"},
		"a mapped answer":   {outside(mapped, nil, connect(syscall.ECONNREFUSED)), "refused"},
		"no way there":      {outside(one, nil, connect(syscall.EHOSTUNREACH)), "refused"},
		"the kernel waited": {outside(one, nil, connect(syscall.ETIMEDOUT)), "timeout"},
		"we waited":         {outside(one, nil, os.ErrDeadlineExceeded), "timeout"},
		"no descriptors":    {outside(one, nil, connect(syscall.EMFILE)), "busy"},
		"no ports":          {outside(one, nil, connect(syscall.EADDRNOTAVAIL)), "busy"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := ask(t, start(t, c.portal), good+"\n"); r.Kind != c.kind || r.Says == "" || r.OK {
				t.Errorf("answer = %+v; want %s", r, c.kind)
			}
		})
	}
}

// The story: a container dies while its portal knocks, the kernel knocks again
// a second later, and by then another one has the address and opens.
func TestConnectionThatTookItsTimeIsVouchedForAgain(t *testing.T) {
	here := netip.MustParseAddr("10.87.3.5")
	for _, c := range []struct {
		fresh time.Duration
		then  []netip.Addr
		asked int32
		kind  string
	}{
		{0, nil, 2, "mismatch"},
		{0, []netip.Addr{here.Next()}, 2, "mismatch"},
		{0, []netip.Addr{here}, 2, ""},
		{time.Hour, nil, 1, ""},
	} {
		p, asked := newPortal(""), atomic.Int32{}
		p.fresh = c.fresh
		p.words.ask = func(context.Context, string) ([]netip.Addr, error) {
			if asked.Add(1) == 1 {
				return []netip.Addr{here}, nil
			}
			return c.then, nil
		}
		p.dial = func(context.Context, request) (int, error) { return syscall.Open(os.DevNull, syscall.O_RDONLY, 0) }
		if r := ask(t, start(t, p), good+"\n"); r.Kind != c.kind || r.OK != (c.kind == "") {
			t.Errorf("fresh %s, then %v: %+v; want %q", c.fresh, c.then, r, c.kind)
		}
		if asked.Load() != c.asked {
			t.Errorf("fresh %s: asked %d times; want %d", c.fresh, asked.Load(), c.asked)
		}
	}
}

func TestSilentCallerIsCutOff(t *testing.T) {
	socket := start(t, outside(nil, nil, nil))
	if r := ask(t, socket, `{"id":`); r.Kind != "bad-request" || !strings.Contains(r.Says, "timeout") {
		t.Errorf("answer = %+v", r)
	}
}

func TestPanicEndsOneRequestOnly(t *testing.T) {
	p := outside(nil, nil, nil)
	p.words.ask = func(context.Context, string) ([]netip.Addr, error) { panic("invented by a test") }
	socket := start(t, p)
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, good+"\n")
	if answer, err := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("answer = %q, %v; want none", answer, err)
	}
	if r := ask(t, socket, "{}\n"); r.Kind != "bad-request" {
		t.Errorf("the next answer = %+v", r)
	}
}

func TestCallersWaitWhileAllPlacesAreTaken(t *testing.T) {
	p := outside(nil, errors.New("odd"), nil)
	p.places = make(chan struct{}, 1)
	p.patience = 5 * time.Second
	socket := start(t, p)
	first, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan string)
	go func() { answered <- ask(t, socket, good+"\n").Kind }()
	select {
	case kind := <-answered:
		t.Errorf("the second caller was answered %q while the first had the only place", kind)
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	if kind := <-answered; kind != "unknown" {
		t.Errorf("kind = %q; want unknown", kind)
	}
}

func TestPortalThatIsToldToStopWaitsForNobodyLong(t *testing.T) {
	for held, want := range map[int]time.Duration{0: 0, 1: 8 * time.Second, atOnce: 8 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := newPortal("")
			for range held {
				p.places <- struct{}{}
			}
			began := time.Now()
			if p.finish(); time.Since(began) != want {
				t.Errorf("%d are served, and it waits %v; want %v", held, time.Since(began), want)
			}
		})
	}
}

func TestGateLetsABoundedNumberIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		for i := range atOnceEach {
			if !g.enter("a") {
				t.Fatalf("number %d was not let in", i)
			}
		}
		began := time.Now()
		if g.enter("a") || time.Since(began) != atGate {
			t.Errorf("one too many: waited %v; want to be refused after %v", time.Since(began), atGate)
		}
		if !g.enter("b") {
			t.Error("another container's gate is closed too")
		}
		entered := make(chan bool)
		go func() { entered <- g.enter("a") }()
		synctest.Wait()
		g.leave("a")
		if !<-entered {
			t.Error("who waited was not let in when a place got free")
		}
		for range atOnceEach {
			g.leave("a")
		}
		g.leave("b")
		if len(g.each) != 0 {
			t.Errorf("%d containers are remembered; want none", len(g.each))
		}
	})
}

func TestLeftoversAtTheSocketsNameDoNotHinder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	l, err := takeOver(path, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Errorf("there is %v, %v; want a socket", info, err)
	}
	sub := filepath.Join(dir, "sub")
	if err := os.MkdirAll(filepath.Join(sub, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := takeOver(sub, "a"); err == nil {
		t.Error("a directory was taken over")
	}
	if left, _ := filepath.Glob(sub + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOnlyTheSocketIsAnOption(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"-dns", "127.0.0.1:53"}} {
		if err := run(args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}
