package ingress_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/route"
)

// openTo waits until so many connections are open to a container.
func (w *world) openTo(t *testing.T, to route.Target, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d connections to be open", want), func() error {
		if got := w.status().Open[to.Container]; got != want {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

func TestConnectionsOfAContainerAreCountedUntilTheyEnd(t *testing.T) {
	w := open(t)
	port := freePort(t)
	old, new := w.echoes(), w.echoes()
	w.must(onlyTCP(port, old))
	first, second := dial(t, port), dial(t, port)
	talk(t, first, "one")
	talk(t, second, "two")
	w.openTo(t, old, 2)
	w.must(onlyTCP(port, new))
	talk(t, dial(t, port), "three")
	talk(t, first, "still")
	w.openTo(t, new, 1)
	w.openTo(t, old, 2)
	first.Close()
	w.openTo(t, old, 1)
	second.Close()
	w.openTo(t, old, 0)
}

func TestIdleConnectionsToAContainerThatLeftAreClosedAndOthersFinish(t *testing.T) {
	w := open(t)
	entered, finish := make(chan struct{}), make(chan struct{})
	old := w.serves(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-finish
		}
		io.WriteString(rw, "old")
	}))
	new := w.serves(says("new"))
	table := web(t, old)
	w.must(table)
	c := browser(t, table.HTTPPort)
	get(t, c, "http://www.example/")
	answer := make(chan string, 1)
	go func() {
		r, err := c.Get("http://www.example/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		answer <- string(text)
	}()
	<-entered
	next := web(t, new)
	next.HTTPPort, next.HTTPSPort = table.HTTPPort, table.HTTPSPort
	w.must(next)
	if _, got := get(t, c, "http://www.example/"); got != "new" {
		t.Errorf("got %q", got)
	}
	w.openTo(t, old, 1)
	close(finish)
	if got := <-answer; got != "old" {
		t.Errorf("the slow answer is %q", got)
	}
	w.openTo(t, old, 0)
}

// Whoever came while a table changed is led by the new one: the old container
// gets nobody after the change was acknowledged, and nobody is turned away.
func TestChangesOfTheTableLoseNobody(t *testing.T) {
	w := open(t, func(s *ingress.Settings) { s.Hold = 10 * time.Second })
	containers := []route.Target{w.serves(says("0")), w.serves(says("1"))}
	table := web(t, containers[0])
	w.must(table)
	stop, failed := make(chan struct{}), make(chan error, 4)
	for range cap(failed) {
		go func() {
			c := browser(t, table.HTTPPort)
			for n := 0; ; n++ {
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
				r, err := c.Post("http://www.example/", "text/plain", nil) // a POST is never repeated
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
				if err == nil && r.StatusCode != http.StatusOK {
					err = errors.New(r.Status)
				}
				if err != nil {
					failed <- fmt.Errorf("request %d: %w", n, err)
					return
				}
			}
		}()
	}
	for i := range 40 {
		next := web(t, containers[(i+1)%2])
		next.HTTPPort, next.HTTPSPort = table.HTTPPort, table.HTTPSPort
		w.must(next)
		w.openTo(t, containers[i%2], 0)
	}
	close(stop)
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
