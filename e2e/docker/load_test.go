package docker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// load is many people who use a service at once, and never try twice.
type load struct {
	dial     func(context.Context, string, string) (net.Conn, error)
	host     string // of the HTTP service
	port     int    // of the TCP service
	slow     string // how long slow answers take
	parts    bool   // an ingress that is replaced asks clients to connect anew
	ctx      context.Context
	stop     context.CancelFunc
	people   sync.WaitGroup
	kept     atomic.Int64 // clients that keep their connection
	dialled  atomic.Int64 // connections of those: a client in need of time may close one itself
	closed   atomic.Int64 // those of them that the other side closed, or asked to
	mu       sync.Mutex   // guards what follows
	good     map[string]int
	failures []string
	longest  time.Duration
}

func newLoad(t *testing.T, h *havre) *load {
	l := &load{dial: h.world.Dial, slow: "2s", good: map[string]int{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	t.Cleanup(func() { l.stop(); l.people.Wait() })
	return l
}

// each has n people do something every so often until the end. What has begun
// is finished.
func (l *load) each(kind string, n int, pause time.Duration, person func() func() error) {
	for range n {
		do := person()
		l.people.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-l.ctx.Done():
					return
				case <-tick.C:
					began := time.Now()
					err := do()
					l.note(kind, time.Since(began), err)
				}
			}
		})
	}
}

func (l *load) note(kind string, took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%s %s: %v", time.Now().Format("15:04:05.000"), kind, err))
		return
	}
	l.good[kind]++
	l.longest = max(l.longest, took)
}

// end lets everybody finish, and says how many failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.people.Wait()
	total := 0
	for _, n := range l.good {
		total += n
	}
	t.Logf("%d went well %v, %d failed, the longest took %s; %d clients that keep their connection dialled %d times, %d were closed for them",
		total, l.good, len(l.failures), l.longest.Round(time.Millisecond), l.kept.Load(), l.dialled.Load(), l.closed.Load())
	if len(l.failures) > 0 {
		t.Errorf("%d failed, beginning with\n%s", len(l.failures), strings.Join(l.failures[:min(8, len(l.failures))], "\n"))
	}
	if !l.parts && l.closed.Load() > 0 {
		t.Error("a kept connection was closed under its client")
	}
	if total == 0 {
		t.Error("nobody came")
	}
}

// web makes a client of the HTTP service that keeps its one connection, or none.
func (l *load) web(keep bool) *http.Client {
	if keep {
		l.kept.Add(1)
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DisableKeepAlives: !keep, MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			c, err := l.dial(ctx, network, "127.0.0.1:80")
			if !keep || err != nil {
				return c, err
			}
			l.dialled.Add(1)
			return &held{Conn: c, closed: &l.closed}, nil
		},
	}}
}

// held is a connection that its client wants to keep.
type held struct {
	net.Conn
	ours   atomic.Bool
	closed *atomic.Int64
}

func (h *held) Read(to []byte) (int, error) {
	n, err := h.Conn.Read(to)
	if err != nil && !h.ours.Load() {
		h.closed.Add(1)
	}
	return n, err
}

func (h *held) Close() error {
	h.ours.Store(true)
	return h.Conn.Close()
}

func (l *load) ask(web *http.Client, method, path string, body []byte) (string, error) {
	r, err := http.NewRequest(method, "http://"+l.host+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := web.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if keeps := web.Transport.(*http.Transport); answer.Close && !keeps.DisableKeepAlives {
		l.closed.Add(1)
	}
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return strings.TrimSpace(string(text)), err
}

// asks is a person who asks for the version, which never goes back.
func (l *load) asks(method string, keep bool) func() func() error {
	return func() func() error {
		web, last := l.web(keep), 0
		return func() error {
			text, err := l.ask(web, method, "/", nil)
			if err != nil {
				return err
			}
			now, err := strconv.Atoi(strings.TrimPrefix(text, "v"))
			if err == nil && now < last {
				err = fmt.Errorf("after v%d, v%d answers", last, now)
			}
			last = max(last, now)
			return err
		}
	}
}

func (l *load) uploads() func() error {
	web, body := l.web(true), bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	return func() error {
		text, err := l.ask(web, http.MethodPost, "/post", body)
		if err == nil && !strings.HasSuffix(text, " 1048576") {
			err = fmt.Errorf("it answers %q", text)
		}
		return err
	}
}

func (l *load) waits() func() error {
	web := l.web(true)
	return func() error {
		text, err := l.ask(web, http.MethodGet, "/sleep?arg="+l.slow, nil)
		if err == nil && text != "<nil>" {
			err = fmt.Errorf("it answers %q", text)
		}
		return err
	}
}

// chats talks over a websocket for two seconds.
func (l *load) chats() func() error {
	web := l.web(false)
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c, _, err := websocket.Dial(ctx, "ws://"+l.host+"/chat", &websocket.DialOptions{HTTPClient: &http.Client{Transport: web.Transport}})
		if err != nil {
			return err
		}
		defer c.CloseNow()
		if _, _, err := c.Read(ctx); err != nil {
			return err
		}
		return errors.Join(talk(10, func(word string) (string, error) {
			if err := c.Write(ctx, websocket.MessageText, []byte(word)); err != nil {
				return "", err
			}
			_, text, err := c.Read(ctx)
			return string(text), err
		}), c.Close(websocket.StatusNormalClosure, ""))
	}
}

// talk says words, 200 ms apart, that have to come back.
func talk(words int, say func(word string) (string, error)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := range words {
		<-tick.C
		word := fmt.Sprint("word", i)
		if got, err := say(word); err != nil || got != word {
			return fmt.Errorf("word %d: %q, %w", i, got, err)
		}
	}
	return nil
}

// connects talks over TCP, some words long.
func (l *load) connects(words int) func() func() error {
	return func() func() error {
		return func() error {
			c, err := l.dial(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", l.port))
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				return err
			}
			lines := bufio.NewReader(c)
			if _, err := lines.ReadString('\n'); err != nil {
				return fmt.Errorf("greeting: %w", err)
			}
			return talk(words, func(word string) (string, error) {
				if _, err := fmt.Fprintln(c, word); err != nil {
					return "", err
				}
				text, err := lines.ReadString('\n')
				return strings.TrimSpace(text), err
			})
		}
	}
}

// everything is what a service that writes nothing has to bear: about 150
// requests a second, answers that take long, a websocket and 20 connections.
func (l *load) everything() {
	l.each("GET", 2, 40*time.Millisecond, l.asks(http.MethodGet, true))
	l.each("POST", 2, 40*time.Millisecond, l.asks(http.MethodPost, true))
	l.each("GET once", 2, 50*time.Millisecond, l.asks(http.MethodGet, false))
	l.each("1 MB", 1, 200*time.Millisecond, l.uploads)
	l.each("slow", 4, 10*time.Millisecond, l.waits)
	l.each("websocket", 1, 10*time.Millisecond, l.chats)
	l.each("TCP", 10, 10*time.Millisecond, l.connects(8))
	l.each("TCP long", 10, 10*time.Millisecond, l.connects(40))
}
