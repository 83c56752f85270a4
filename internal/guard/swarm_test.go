package guard_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"havre/internal/guard"
	"havre/internal/guard/guardtest"
)

const ourSwarm = `{"Swarm":{"NodeID":"n","LocalNodeState":"active","ControlAvailable":true,"Nodes":1,"Cluster":{"ID":"made"}}}`

func TestOnlyASwarmThatHavreMadeAndNobodyUsesIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		mark, path, text string
		left             bool
	}{
		"made and empty":         {mark: "made\n", left: true},
		"with its own network":   {mark: "made\n", path: "/networks", text: `[{"Scope":"local"},{"Scope":"swarm","Ingress":true}]`, left: true},
		"not made":               {},
		"another one since":      {mark: "former\n"},
		"no id":                  {mark: "\n", path: "/info", text: `{"Swarm":{"LocalNodeState":"active","Nodes":1}}`},
		"locked":                 {mark: "made\n", path: "/info", text: `{"Swarm":{"LocalNodeState":"locked","Nodes":1,"Cluster":{"ID":"made"}}}`},
		"with another node":      {mark: "made\n", path: "/info", text: `{"Swarm":{"LocalNodeState":"active","Nodes":2,"Cluster":{"ID":"made"}}}`},
		"with somebody's":        {mark: "made\n", path: "/services", text: `[{"ID":"theirs"}]`},
		"with somebody's secret": {mark: "made\n", path: "/secrets", text: `[{"ID":"theirs"}]`},
		"with somebody's config": {mark: "made\n", path: "/configs", text: `[{"ID":"theirs"}]`},
		"with somebody's net":    {mark: "made\n", path: "/networks", text: `[{"Scope":"swarm"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory(t)
			engine := guardtest.NewEngine(t, t.TempDir())
			engine.Put("/info", ourSwarm)
			if c.path != "" {
				engine.Put(c.path, c.text)
			}
			if c.mark != "" {
				if err := os.WriteFile(filepath.Join(dir, "swarm"), []byte(c.mark), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			id, err := of(t, dir, engine.Socket).LeaveSwarm(t.Context())
			if err != nil || (id != "") != c.left {
				t.Errorf("left %q, %v", id, err)
			}
			if written := engine.Written(); c.left != (len(written) == 1 && written[0].Path == "/swarm/leave") || !c.left && len(written) > 0 {
				t.Errorf("the engine was told %v", written)
			}
		})
	}
}

func of(t *testing.T, dir, engine string) *guard.Guard {
	t.Helper()
	g, err := guard.New(guard.Settings{Dir: dir, Socket: dir + "/sock", Owner: uint32(os.Getuid()), Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// swarmless is an engine that is in no swarm, until one is made.
type swarmless struct {
	*guardtest.Engine
	begun chan struct{} // making it has begun
	again chan struct{} // somebody asked meanwhile

	mu   sync.Mutex // guards what follows
	made int
}

func (e *swarmless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/info") && e.made > 0:
		select {
		case e.again <- struct{}{}:
		default:
		}
		e.Engine.ServeHTTP(w, r)
	case !strings.HasSuffix(r.URL.Path, "/swarm/init"):
		e.Engine.ServeHTTP(w, r)
	case e.made > 0:
		http.Error(w, `{"message":"This node is already part of a swarm."}`, http.StatusServiceUnavailable)
	default:
		e.made++
		close(e.begun)
		e.mu.Unlock()
		select { // who does not wait for the first caller has this long
		case <-e.again:
		case <-time.After(200 * time.Millisecond):
		}
		e.mu.Lock()
		e.Put("/info", ourSwarm)
	}
}

// Whoever asks for a swarm while one is made waits for it, and when the first
// one goes meanwhile it is Havre's all the same.
func TestASwarmIsMadeOnceAndIsOursThoughTheCallerGoes(t *testing.T) {
	dir := directory(t)
	engine := &swarmless{Engine: guardtest.NewEngine(t, t.TempDir()), begun: make(chan struct{}), again: make(chan struct{}, 1)}
	engine.Put("/info", `{"Swarm":{"LocalNodeState":"inactive"}}`)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: engine}}
	server.Start()
	t.Cleanup(server.Close)

	g := of(t, dir, l.Addr().String())
	goes, leave := context.WithCancel(t.Context())
	answers := make(chan error, 2)
	ask := func(ctx context.Context) {
		_, err := g.Swarm(ctx)
		answers <- err
	}
	go ask(goes)
	<-engine.begun
	go ask(t.Context())
	leave()
	if err := errors.Join(<-answers, <-answers); err != nil {
		t.Error(err)
	}
	if id, err := g.LeaveSwarm(t.Context()); id != "made" || err != nil {
		t.Errorf("left %q, %v", id, err)
	}
}
