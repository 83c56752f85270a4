package portal_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"havre/internal/portal"
)

// takesSeveral is what a portal says that does.
const takesSeveral = "{\"ok\":true,\"all\":16}\n"

// manyer is a portal that takes several questions at once, which answer answers.
func manyer(t *testing.T, here *os.File, answer func(c *net.UnixConn, questions int)) (socket string) {
	t.Helper()
	socket = filepath.Join(socketDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		accept(l, func(c net.Conn) {
			text := make([]byte, 4096)
			for {
				n, err := c.Read(text)
				if n == 0 || err != nil {
					return
				}
				if !strings.HasPrefix(string(text[:n]), `{"all":`) {
					send(c.(*net.UnixConn), takesSeveral, here)
					continue
				}
				answer(c.(*net.UnixConn), strings.Count(string(text[:n]), `"id"`))
			}
		})
	})
	t.Cleanup(func() {
		l.Close()
		served.Wait()
	})
	return socket
}

func TestQuestionsGatherWhileAMessageIsUnderWay(t *testing.T) {
	here, _, target := sockets(t)
	var messages atomic.Int32
	asked, answered := make(chan int, 100), make(chan struct{})
	socket := manyer(t, here, func(c *net.UnixConn, questions int) {
		messages.Add(1)
		asked <- questions
		<-answered
		at, files := []string{}, []*os.File{}
		for i := range questions {
			at, files = append(at, fmt.Sprint(i)), append(files, here)
		}
		send(c, `{"here":[`+strings.Join(at, ",")+"]}\n", files...)
	})
	var d portal.Dialer
	dial(t, &d, socket, target) // it hears that the portal takes several
	var all sync.WaitGroup
	begin := func() {
		all.Go(func() {
			c, err := d.Dial(t.Context(), socket, target)
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	begin()
	if n := <-asked; n != 1 {
		t.Errorf("the first message has %d questions; want one", n)
	}
	for range 40 {
		begin()
	}
	eventually(t, "40 to wait", func() error {
		if n := portal.Waiting(&d, socket); n != 40 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	close(answered)
	all.Wait()
	if n := messages.Load(); n != 4 { // 1, 16, 16, 8
		t.Errorf("%d messages for 41 questions; want 4", n)
	}
}

// Whatever is no answer to several: everybody asks alone, and nothing that came
// along stays open.
func TestWhoIsAnsweredOddlyAmongSeveralAsksAlone(t *testing.T) {
	here, there, target := sockets(t)
	before := socketsOpen(t)
	for name, answer := range map[string]func(c *net.UnixConn){
		"hangs up":            func(c *net.UnixConn) { c.Close() },
		"no JSON":             func(c *net.UnixConn) { send(c, "here\n", here) },
		"a single answer":     func(c *net.UnixConn) { send(c, ok, here) },
		"nobody's place":      func(c *net.UnixConn) { send(c, "{\"here\":[7]}\n", here) },
		"a place below 0":     func(c *net.UnixConn) { send(c, "{\"here\":[-1]}\n", here) },
		"a place twice":       func(c *net.UnixConn) { send(c, "{\"here\":[0,0]}\n", here, here) },
		"nobody's refusal":    func(c *net.UnixConn) { send(c, "{\"not\":[{\"at\":3}]}\n") },
		"without descriptors": func(c *net.UnixConn) { send(c, "{\"here\":[0]}\n") },
		"too many":            func(c *net.UnixConn) { send(c, "{\"here\":[]}\n", here, here) },
		"half a line":         func(c *net.UnixConn) { send(c, "{\"here\":[0]", here); c.Close() },
		"an endless line":     func(c *net.UnixConn) { send(c, strings.Repeat(" ", 1<<16), here) },
	} {
		t.Run(name, func(t *testing.T) {
			socket := manyer(t, here, func(c *net.UnixConn, _ int) { answer(c) })
			var d portal.Dialer
			for range 5 {
				dial(t, &d, socket, target)
			}
		})
	}
	eventually(t, "all descriptors to be closed", func() error {
		if now := socketsOpen(t); now > before {
			return fmt.Errorf("%d, and %d before", now, before)
		}
		return nil
	})
	socket := manyer(t, here, func(c *net.UnixConn, _ int) { send(c, "{\"here\":[0]}\n", there) })
	var d portal.Dialer
	dial(t, &d, socket, target)
	if c, err := d.Dial(t.Context(), socket, target); err == nil {
		c.Close()
		t.Error("a socket that leads elsewhere was taken")
	}
}

func TestOldPortalAfterANewOneIsAskedAlone(t *testing.T) {
	here, _, target := sockets(t)
	socket := manyer(t, here, func(c *net.UnixConn, _ int) { send(c, "{\"here\":[0]}\n", here) })
	var d portal.Dialer
	for range 3 {
		dial(t, &d, socket, target)
	}
	old := newLiner(t, socket, 1, here)
	for range 3 {
		dial(t, &d, socket, target)
	}
	if n := old.lines.Load(); n < 3 || n > 4 {
		t.Errorf("%d lines to the old one for 3 questions", n)
	}
}
