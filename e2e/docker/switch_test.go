package docker_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// long is for runs that may take their time.
func long(short, long int) int {
	if os.Getenv("HAVRE_LONG") != "" {
		return long
	}
	return short
}

const switched = `
services:
  web:
    image: app:1
    environment: {VERSION: %s, TCP: '2525'}
    ports: ["%d:2525"]
    healthcheck: {test: ["CMD", "/app", "healthcheck"], interval: 1s, retries: 2, start_period: 1s}
    deploy: {replicas: %d}
    x-havre: {domains: ["%s:8080"]}
`

func TestUpdatesUnderLoadFailNobody(t *testing.T) {
	t.Parallel()
	h := alone(t)
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			port, host := 18030+replicas, fmt.Sprintf("switch%d.test", replicas)
			project := fmt.Sprintf("switch%d", replicas)
			h.apply(t, project, fmt.Sprintf(switched, "v1", port, replicas, host))
			l := newLoad(t, h)
			l.host, l.port = host, port
			if long(0, 1) == 1 {
				l.slow = "5s"
			}
			l.everything()
			updates := long(3, 10)
			if replicas > 1 {
				updates = long(1, 3)
			}
			for n := 2; n <= updates+1; n++ {
				h.apply(t, project, fmt.Sprintf(switched, fmt.Sprint("v", n), port, replicas, host))
				if got, err := l.ask(l.web(false), http.MethodGet, "/", nil); err != nil || got != fmt.Sprint("v", n) {
					t.Errorf("after the update to v%d: %q, %v", n, got, err)
				}
			}
			l.end(t)
		})
	}
}

func TestFailedUpdatesUnderLoadFailNobody(t *testing.T) {
	t.Parallel()
	h := up(t)
	port, host := 18035, "failing.test"
	h.apply(t, "failing", fmt.Sprintf(switched, "v1", port, 1, host))
	l := newLoad(t, h)
	l.host, l.port = host, port
	l.everything()
	good := fmt.Sprintf(switched, "v2", port, 1, host)
	for what, bad := range map[string]string{
		"image is missing": strings.Replace(good, "app:1", "app:none", 1),
		"crashes at start": strings.Replace(good, "v2", "v2, CRASH: '3'", 1),
		"never healthy":    strings.Replace(good, "v2", "v2, UNHEALTHY: '1'", 1),
	} {
		file := h.write(t, "failing/compose.yml", bad)
		if r := h.run(t, "apply", "-f", file, "-p", "failing", "--yes"); r.code == 0 {
			t.Errorf("%s: apply succeeds\n%s%s", what, r.out, r.errs)
		}
		if got, err := l.ask(l.web(false), http.MethodGet, "/", nil); err != nil || got != "v1" {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	l.end(t)
}

const writing = `
services:
  db:
    image: app:1
    environment: {VERSION: %s, TCP: '2525', LOCK: /vol/rw/lock, WRITE: /vol/rw/log}
    ports: ["%d:2525"]
    volumes: ["data:/vol/rw"]
    healthcheck: {test: ["CMD", "/app", "healthcheck"], interval: 1s}
    x-havre: {domains: ["%s:8080"]}
volumes: {data: {}}
`

func TestWriterIsReplacedWithoutARefusalAndNeverTwice(t *testing.T) {
	t.Parallel()
	h := up(t)
	port, host := 18036, "writing.test"
	h.apply(t, "writing", fmt.Sprintf(writing, "v1", port, host))
	l := newLoad(t, h)
	l.host, l.port = host, port
	l.each("GET", 2, 50*time.Millisecond, l.asks(http.MethodGet, true))
	l.each("POST", 2, 50*time.Millisecond, l.asks(http.MethodPost, true))
	l.each("GET once", 2, 50*time.Millisecond, l.asks(http.MethodGet, false))
	l.each("1 MB", 1, 200*time.Millisecond, l.uploads)
	l.each("slow", 2, 10*time.Millisecond, l.waits)
	l.each("TCP", 20, 10*time.Millisecond, l.connects(3))
	want := "v1"
	for n := 2; n <= long(2, 6)+1; n++ {
		h.apply(t, "writing", fmt.Sprintf(writing, fmt.Sprint("v", n), port, host))
		want += fmt.Sprint("\nv", n)
	}
	if _, err := l.ask(l.web(false), http.MethodGet, "/cat?arg=/vol/rw/lock.broken", nil); err == nil {
		t.Error("two wrote at once")
	}
	if got, err := l.ask(l.web(false), http.MethodGet, "/cat?arg=/vol/rw/log", nil); err != nil || got != want {
		t.Errorf("it was started as %q, %v; want %q", got, err, want)
	}
	l.end(t)
	if l.longest > 30*time.Second {
		t.Errorf("somebody was held for %s", l.longest)
	}
}
