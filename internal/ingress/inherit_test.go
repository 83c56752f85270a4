package ingress_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
	"havre/internal/spec"
)

// pressure is people who never stop, and what went wrong for them.
type pressure struct {
	t     *testing.T
	stop  context.CancelFunc
	ctx   context.Context
	all   sync.WaitGroup
	asked atomic.Int64
}

func press(t *testing.T) *pressure {
	p := &pressure{t: t}
	p.ctx, p.stop = context.WithCancel(context.Background())
	t.Cleanup(p.end)
	return p
}

func (p *pressure) end() {
	p.stop()
	p.all.Wait()
}

// keep does what once says until the end.
func (p *pressure) keep(what string, once func() error) {
	p.all.Go(func() {
		for p.ctx.Err() == nil {
			if err := once(); err != nil && p.ctx.Err() == nil {
				p.t.Errorf("%s: %v", what, err)
				return
			}
			p.asked.Add(1)
		}
	})
}

// more waits until so much more was asked.
func (p *pressure) more(n int64) {
	p.t.Helper()
	until := p.asked.Load() + n
	eventually(p.t, "the people", func() error {
		if now := p.asked.Load(); now < until {
			return fmt.Errorf("%d of %d", now, until)
		}
		return nil
	})
}

// upgraded is a connection that speaks something else after a word of HTTP.
func upgraded(t *testing.T, port uint16) net.Conn {
	t.Helper()
	c := dial(t, port)
	c.SetDeadline(time.Time{})
	fmt.Fprintf(c, "GET /chat HTTP/1.1\r\nHost: www.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %+v, %v", answer, err)
	}
	return c
}

// chats greets and upgrades.
var chats = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		io.WriteString(w, "hello")
		return
	}
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "echo")
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	echo(c)
})

// heirs hears from the log who took over.
type heirs struct{ took chan struct{} }

func (h heirs) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "took over from") {
		h.took <- struct{}{}
	}
	return len(b), nil
}

// former is a world whose first ingress runs, and what starts the next one and
// waits until it has taken over.
func former(t *testing.T, change ...func(*ingress.Settings)) (w *world, next func() (stop func())) {
	h := heirs{make(chan struct{}, 10)}
	change = append(change, func(s *ingress.Settings) { s.Log = slog.New(slog.NewTextHandler(h, nil)) })
	w = newWorld(t, change...)
	w.start()
	return w, func() func() {
		stop := w.start()
		<-h.took
		return stop
	}
}

// What a container says right behind its 101 comes in one piece with it.
func TestFirstWordsOfAnUpgradedConnectionArrive(t *testing.T) {
	w := open(t)
	table := web(t, w.container(func(c net.Conn) {
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst words")
		io.Copy(io.Discard, c)
	}))
	w.must(table)
	c := dial(t, table.HTTPPort)
	fmt.Fprintf(c, "GET /chat HTTP/1.1\r\nHost: www.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(c)
	if answer, err := http.ReadResponse(in, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", answer, err)
	}
	b := make([]byte, len("first words"))
	if _, err := io.ReadFull(in, b); err != nil || string(b) != "first words" {
		t.Errorf("heard %q, %v", b, err)
	}
}

func TestIngressIsReplacedFiveTimesAndNobodyNotices(t *testing.T) {
	w, next := former(t, func(s *ingress.Settings) { s.Drain = 10 * time.Second })
	table := web(t, w.serves(chats))
	tcp, udp := freePort(t), freePort(t)
	table.TCP = []route.TCP{tcpRoute(tcp, w.echoes())}
	table.UDP = []route.UDP{udpRoute(udp, w.talker(same))}
	w.must(table)

	p := press(t)
	for range 4 {
		browse := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", local(table.HTTPPort))
		}}}
		p.keep("a kept connection", func() error {
			// A POST is never sent again by the client itself.
			answer, err := browse.Post("http://www.example/", "text/plain", nil)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			b, err := io.ReadAll(answer.Body)
			if err == nil && string(b) != "hello" {
				err = fmt.Errorf("%s: %q", answer.Status, b)
			}
			return err
		})
	}
	p.keep("a new connection", func() error {
		c, err := net.DialTimeout("tcp", local(tcp), 5*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		return exchange(c, "new")
	})
	chat, long, player := upgraded(t, table.HTTPPort), dial(t, tcp), client(t, udp)
	p.keep("a websocket", func() error { return exchange(chat, "still") })
	p.keep("a long connection", func() error { return exchange(long, "here") })
	heard := make([]byte, 100)
	p.keep("datagrams", func() error {
		player.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := player.Write([]byte("move")); err != nil {
			return err
		}
		_, err := player.Read(heard)
		return err
	})
	for range 5 {
		p.more(300)
		next()
	}
	p.more(300)
	p.end()
}

func TestConnectionsOfFormerIngressesCount(t *testing.T) {
	w, next := former(t)
	to := w.echoes()
	port := freePort(t)
	w.must(onlyTCP(port, to))
	c := dial(t, port)
	talk(t, c, "first")
	next()
	talk(t, dial(t, port), "second")
	next()
	if n := w.status().Open[to.Container]; n != 2 {
		t.Errorf("%d open; want both, of whichever ingress", n)
	}
	w.must(onlyTCP(port, w.echoes()))
	c.Close()
	eventually(t, "the first one to be gone", func() error {
		if n := w.status().Open[to.Container]; n != 1 {
			return fmt.Errorf("%d open", n)
		}
		return nil
	})
}

func TestFormerIngressFollowsTheTableForKeptConnections(t *testing.T) {
	w, next := former(t)
	table := web(t, w.serves(chats))
	w.must(table)
	chat := upgraded(t, table.HTTPPort)
	next()
	table.HTTP[0].Access = spec.Localhost
	w.must(table)
	w.status()
	talk(t, chat, "hello")
}

func TestFormerIngressEndsWithItsHeir(t *testing.T) {
	w, next := former(t)
	port := freePort(t)
	w.must(onlyTCP(port, w.echoes()))
	c := dial(t, port)
	talk(t, c, "x")
	stop := next()
	talk(t, c, "y")
	stop()
	if _, err := io.ReadAll(c); err == nil {
		t.Log("closed without a reset") // either tells the client
	}
	if _, err := os.Stat(w.set.ControlSocket); err == nil {
		t.Error("the control socket is still there")
	}
}

// Who asks for the sockets and goes away changes nothing.
func TestHeirThatDiesBeforeItIsReadyLeavesAllAsItWas(t *testing.T) {
	w, next := former(t)
	port := freePort(t)
	w.must(onlyTCP(port, w.echoes()))
	for _, says := range []string{"", "sockets", "leave", "nonsense"} {
		c, err := net.Dial("unixpacket", ingress.HeirSocket(w.set.ControlSocket))
		if err != nil {
			t.Fatal(err)
		}
		if says != "" {
			io.WriteString(c, says)
		}
		c.Close()
		talk(t, dial(t, port), "as before")
	}
	w.must(onlyTCP(port, w.echoes()))
	next()
	talk(t, dial(t, port), "and after a real one")
}
