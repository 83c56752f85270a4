package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const otherID = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

func TestSeveralAreUnderstoodInOneFormOnly(t *testing.T) {
	list := func(n int) string { return `{"all":[` + strings.Repeat(good+",", n-1) + good + `]}` }
	for _, n := range []int{1, 2, most} {
		if all, ok := several([]byte(list(n))); !ok || len(all) != n || all[n-1].ID != someID {
			t.Errorf("%d were understood as %d, %v", n, len(all), ok)
		}
	}
	for _, odd := range []string{
		list(most + 1), `{"all":[]}`, `{"all":[` + good + `,]}`, `{"all":[` + good + `]}x`, `{"all":[` + good + " ]}", `{"all":[` + good + good + `]}`,
		`{"all":[` + good + `]`, `{"all":[` + strings.Replace(good, "10.87.3.5", "127.0.0.1", 1) + `]}`, `[` + good + `]`, good, "",
	} {
		if _, ok := several([]byte(odd)); ok {
			t.Errorf("%q was understood", odd)
		}
	}
}

// opens knocks without a network.
func opens(request) (int, bool, error) {
	s, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	return s, true, err
}

// One asks for a container that the name service takes its time for: the
// other's answer does not wait.
func TestWhoIsLateKeepsNobodyElse(t *testing.T) {
	p, late := newPortal(""), make(chan struct{})
	p.words.ask = func(_ context.Context, name string) ([]netip.Addr, error) {
		if strings.HasPrefix(otherID, name) {
			<-late
		}
		return []netip.Addr{netip.MustParseAddr("10.87.3.5")}, nil
	}
	p.knock = opens
	c, err := net.Dial("unix", start(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	other := strings.Replace(good, someID, otherID, 1)
	elsewhere := strings.Replace(good, "10.87.3.5", "10.87.3.6", 1)
	io.WriteString(c, `{"all":[`+other+`,`+good+`,`+elsewhere+`]}`+"\n")
	answers := bufio.NewReader(c)
	for _, want := range []string{`{"here":[]}`, `{"here":[1]}`, `{"here":[],"not":[{"at":2,"kind":"mismatch","says":"0123456789ab is not at 10.87.3.6"}]}`, `{"here":[0]}`} {
		if want == `{"here":[0]}` {
			close(late)
		}
		if line, err := answers.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
			t.Fatalf("answer = %q, %v; want %s", line, err, want)
		}
	}
	io.WriteString(c, `{"all":[`+good+`,`+good+`]}`+"\n") // the line goes on
	if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, `{"here":[`) {
		t.Errorf("the next answer = %q, %v", line, err)
	}
}

func TestNoneOfSeveralStandsOnAnOlderWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold(t)
		ask := w.words.ask
		var last atomic.Int64 // when the latest question was asked that has its answer
		w.words.ask = func(ctx context.Context, name string) ([]netip.Addr, error) {
			began := time.Now().UnixNano()
			defer last.Store(began)
			return ask(ctx, name)
		}
		var stood time.Time
		w.knock = func(r request) (int, bool, error) {
			time.Sleep(w.takes)
			stood = time.Now()
			return opens(r)
		}
		w.dial = func(_ context.Context, r request) (int, error) {
			s, _, err := w.knock(r)
			return s, err
		}
		atOnce := 0
		for n := range 2000 {
			w.takes = time.Duration(n%13) * time.Millisecond
			e := &errand{request: w.req, socket: -1}
			if w.settle(e) {
				atOnce++
			} else {
				w.complete(e)
			}
			if e.no != nil || e.socket < 0 || e.inside {
				t.Fatalf("number %d: %+v", n, e)
			}
			syscall.Close(e.socket)
			if old := stood.Sub(time.Unix(0, last.Load())); old > fresh {
				t.Fatalf("number %d stood %s after the engine was asked; want at most %s", n, old, fresh)
			}
			time.Sleep(time.Duration(n%7) * 500 * time.Microsecond)
		}
		if atOnce == 0 || atOnce == 2000 || int(w.asked.Load()) >= 2000 {
			t.Errorf("%d of 2000 at once, the engine was asked %d times", atOnce, w.asked.Load())
		}
		w.here.Store(false)
		time.Sleep(fresh)
		e := &errand{request: w.req, socket: -1}
		if w.settle(e) {
			t.Error("a container that went was connected to on an old word")
		}
		if w.complete(e); e.no == nil || e.no.Kind != "unknown" {
			t.Errorf("a container that went: %+v", e.no)
		}
		time.Sleep(time.Second)
	})
}

func TestBusyPortalTurnsAwaySomeOfSeveral(t *testing.T) {
	p := outside(nil, errors.New("odd"), nil)
	p.places = make(chan struct{}, 3) // one is the line's
	c, err := net.Dial("unix", start(t, p))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	settles := func() bool { // soon the portal waits for its next caller in another
		for began := time.Now(); len(p.places) != 2 && time.Since(began) < 10*time.Second; {
			runtime.Gosched()
		}
		return len(p.places) == 2
	}
	if !settles() {
		t.Fatalf("%d places are taken by one caller", len(p.places))
	}
	io.WriteString(c, `{"all":[`+good+`,`+good+`,`+good+`]}`+"\n")
	said, answers := "", bufio.NewReader(c)
	for strings.Count(said, `"at"`) < 3 {
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(said, err)
		}
		said += line
	}
	if strings.Count(said, `"busy"`) != 2 || strings.Count(said, `"unknown"`) != 1 {
		t.Errorf("answers:\n%s", said)
	}
	if !settles() {
		t.Errorf("%d places are taken when all is said", len(p.places))
	}
}
