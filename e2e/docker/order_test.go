package docker_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
)

// ordered is an app that holds a lock while it lives, in a volume that it only
// reads: nothing but its order tells that two of it must not run at once.
const ordered = `
services:
  keeper:
    image: app:1
    environment: {WRITE: /vol/rw/lock}
    volumes: ["lock:/vol/rw"]
    healthcheck: {test: ["CMD", "/app", "healthcheck"], interval: 1s}
  web:
    image: app:1
    environment: {VERSION: v1, TCP: '2525', LOCK: /vol/ro/lock}
    ports: ["18037:2525"]
    volumes: ["lock:/vol/ro:ro"]
    depends_on: {keeper: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "/app", "healthcheck"], interval: 1s}
    deploy:
      update_config: {order: stop-first}
      rollback_config: {order: stop-first}
    x-havre: {domains: ["ordered.test:8080"]}
volumes: {lock: {}}
`

func TestStopFirstIsNeverTwiceAndRefusesNobody(t *testing.T) {
	t.Parallel()
	h := up(t)
	version := func(v string) string { return strings.Replace(ordered, "VERSION: v1", "VERSION: "+v, 1) }
	h.apply(t, "ordered", ordered)
	l := newLoad(t, h)
	l.host, l.port = "ordered.test", 18037
	l.each("GET", 2, 50*time.Millisecond, l.asks(http.MethodGet, true))
	l.each("POST", 1, 50*time.Millisecond, l.asks(http.MethodPost, true))
	l.each("GET once", 2, 50*time.Millisecond, l.asks(http.MethodGet, false))
	l.each("TCP", 5, 20*time.Millisecond, l.connects(3))
	serves := func(want string) string {
		t.Helper()
		if got, err := l.ask(l.web(false), http.MethodGet, "/", nil); err != nil || got != want {
			t.Errorf("%q answers, %v; want %s", got, err, want)
		}
		s, err := h.service(t.Context(), "ordered.web")
		running := slices.DeleteFunc(s.Tasks, func(one api.Task) bool { return one.State != "running" })
		if err != nil || len(running) != 1 || s.Restarts != 0 || s.Trouble != nil { // who does not get the lock ends at once
			t.Fatalf("%+v, %v; want one container that never met another", s, err)
		}
		return running[0].Container
	}

	said := h.apply(t, "ordered", version("v2"))
	has(t, "the plan", said, "stops the old one first, as update_config.order says so")
	serves("v2")

	file := h.write(t, "ordered/compose.yml", version("'v3', CRASH: '3'"))
	if r := h.run(t, "apply", "-f", file, "-p", "ordered", "--yes"); r.code == 0 {
		t.Errorf("apply of one that crashes succeeds\n%s%s", r.out, r.errs)
	}
	before := serves("v2")
	l.end(t)
	if l.longest > 30*time.Second {
		t.Errorf("somebody was held for %s", l.longest)
	}

	h.apply(t, "ordered", strings.ReplaceAll(version("v2"), "order: stop-first", ""))
	if after := serves("v2"); after != before {
		t.Errorf("another order alone made container %s of %s", after, before)
	}
}
