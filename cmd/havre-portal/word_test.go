package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// told is a portal in a test's own time. The engine takes a millisecond to
// answer, and says that all is well until it says otherwise.
type told struct {
	*portal
	req   request
	asked atomic.Int32
	here  atomic.Bool
	takes time.Duration // to connect
}

func newTold(t *testing.T) *told {
	t.Helper()
	req, err := parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	w := &told{portal: newPortal(""), req: req}
	w.here.Store(true)
	w.words.ask = func(context.Context, string) ([]netip.Addr, error) {
		w.asked.Add(1)
		here := w.here.Load()
		time.Sleep(time.Millisecond)
		if !here {
			return nil, &net.DNSError{IsNotFound: true}
		}
		return []netip.Addr{req.Address}, nil
	}
	w.dial = func(context.Context, request) (int, error) {
		time.Sleep(w.takes)
		return syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	}
	return w
}

// reaches connects, and gives the kind of the refusal, if any.
func (w *told) reaches(t *testing.T) string {
	s, no := w.reach(t.Context(), w.req)
	if no != nil {
		return no.Kind
	}
	syscall.Close(s)
	return ""
}

func TestBurstAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold(t)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if kind := w.reaches(t); kind != "" {
					t.Errorf("refused: %s", kind)
				}
			})
		}
		all.Wait()
		if n := w.asked.Load(); n != 1 {
			t.Errorf("the engine was asked %d times; want once", n)
		}
	})
}

// No word counts for longer than ten milliseconds after its question, however
// many use it: in that time no engine gives an address to another container.
func TestNoConnectionStandsOnAnOlderWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold(t)
		began := time.Now()
		dial := w.dial
		var last time.Time // that the engine was asked and the container was there
		ask := w.words.ask
		w.words.ask = func(ctx context.Context, name string) ([]netip.Addr, error) {
			last = time.Now()
			return ask(ctx, name)
		}
		for n := range 2000 {
			w.takes = time.Duration(n%13) * time.Millisecond
			var stood time.Time
			w.dial = func(ctx context.Context, r request) (int, error) {
				s, err := dial(ctx, r)
				stood = time.Now()
				return s, err
			}
			if kind := w.reaches(t); kind != "" {
				t.Fatalf("refused: %s", kind)
			}
			if old := stood.Sub(last); old > fresh {
				t.Fatalf("number %d stood %s after the engine was asked; want at most %s", n, old, fresh)
			}
			time.Sleep(time.Duration(n%7) * 500 * time.Microsecond)
		}
		if most := int32(2000); w.asked.Load() >= most || time.Since(began) == 0 {
			t.Errorf("asked %d times for %d connections; want fewer", w.asked.Load(), most)
		}
	})
}

func TestContainerThatWentIsNotConnectedToOnAnOldWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold(t)
		w.reaches(t)
		w.here.Store(false)
		time.Sleep(fresh)
		if kind := w.reaches(t); kind != "unknown" {
			t.Errorf("kind = %q; want unknown", kind)
		}
	})
}

// It took its time: what was shared before is no proof for it.
func TestSlowConnectionIsVouchedForByANewerWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold(t)
		w.reaches(t)
		w.takes = fresh
		went := time.AfterFunc(fresh/2, func() { w.here.Store(false) })
		defer went.Stop()
		if kind := w.reaches(t); kind != "unknown" {
			t.Errorf("kind = %q; want unknown", kind)
		}
	})
}

func TestNoIsBelievedOnlyWhenAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold(t)
		w.here.Store(false)
		if kind := w.reaches(t); kind != "unknown" {
			t.Fatalf("kind = %q; want unknown", kind)
		}
		w.here.Store(true)
		if kind := w.reaches(t); kind != "" {
			t.Errorf("a container that has come was refused: %s", kind)
		}
	})
}

func TestWhoWaitsForAQuestionThatPanicsIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan struct{})
		ws := &words{keep: fresh}
		ws.ask = func(context.Context, string) ([]netip.Addr, error) {
			close(begun)
			time.Sleep(time.Millisecond)
			panic("invented by a test")
		}
		began := time.Now()
		go func() {
			defer func() { recover() }()
			ws.about(t.Context(), "a", began)
		}()
		<-begun
		if w := ws.about(t.Context(), "a", began); w.err == nil {
			t.Error("it was answered with something")
		}
	})
}

func TestWhoWaitsLeavesWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ws := &words{keep: fresh}
		ws.ask = func(context.Context, string) ([]netip.Addr, error) {
			time.Sleep(time.Minute)
			return nil, errors.New("odd")
		}
		began := time.Now()
		go ws.about(t.Context(), "a", began)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w := ws.about(ctx, "a", began)
		if !errors.Is(w.err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("err = %v after %s", w.err, time.Since(began))
		}
		time.Sleep(time.Hour)
	})
}

func TestWordsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTold(t)
		for range 100 {
			for _, name := range []string{"a", "b", "c"} {
				w.words.about(t.Context(), name, time.Now())
			}
			time.Sleep(2 * fresh)
		}
		w.words.about(t.Context(), "d", time.Now())
		if n := len(w.words.last); n != 1 {
			t.Errorf("%d words are remembered; want one", n)
		}
	})
}
