package guard_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"havre/internal/guard/guardtest"
)

func TestSwarmIsMadeWhereThereIsNoneAndNoOtherIsTouched(t *testing.T) {
	for what, c := range map[string]struct {
		swarm  string // as the engine tells of it
		status int
		answer string
		made   bool
	}{
		"none":              {`{"LocalNodeState":"inactive"}`, 200, `"created":true`, true},
		"one that it leads": {`{"LocalNodeState":"active","ControlAvailable":true,"NodeID":"aaaaaaaaaaaaaaaaaaaaaaaaa"}`, 200, `"node":"aaaaaaaaaaaaaaaaaaaaaaaaa","created":false`, false},
		"one of others":     {`{"LocalNodeState":"active","ControlAvailable":false,"NodeID":"aaaaaaaaaaaaaaaaaaaaaaaaa"}`, 409, "docker node promote aaaaaaaaaaaaaaaaaaaaaaaaa", false},
		"one being joined":  {`{"LocalNodeState":"pending"}`, 503, "is in state pending", false},
		"one that is lost":  {`{"LocalNodeState":"error"}`, 503, "is in state error", false},
		"a locked one":      {`{"LocalNodeState":"locked"}`, 503, "is in state locked", false},
	} {
		t.Run(what, func(t *testing.T) {
			w := guardtest.Fake(t)
			w.Fake.Put("/info", `{"Name":"fake","Swarm":`+c.swarm+`}`)
			if status, text := ensureSwarm(t, w); status != c.status || !strings.Contains(text, c.answer) {
				t.Errorf("answered %d %s, not %d with %s", status, text, c.status, c.answer)
			}
			made := false
			for _, r := range w.Fake.Written() {
				if r.Method != "POST" || r.Path != "/swarm/init" || made {
					t.Errorf("the engine was told %s %s %s", r.Method, r.Path, r.Body)
				}
				made = true
			}
			if made != c.made {
				t.Errorf("a swarm was made: %v", made)
			}
		})
	}
}

func ensureSwarm(t *testing.T, w *guardtest.World) (int, string) {
	t.Helper()
	conn, err := w.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /havre/v1/swarm HTTP/1.1\r\nHost: guard\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(text)
}
