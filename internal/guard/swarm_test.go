package guard_test

import (
	"os"
	"path/filepath"
	"testing"

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
			g, err := guard.New(guard.Settings{Dir: dir, Socket: dir + "/sock", Owner: uint32(os.Getuid()), Engine: engine.Socket})
			if err != nil {
				t.Fatal(err)
			}
			id, err := g.LeaveSwarm(t.Context())
			if err != nil || (id != "") != c.left {
				t.Errorf("left %q, %v", id, err)
			}
			if written := engine.Written(); c.left != (len(written) == 1 && written[0].Path == "/swarm/leave") || !c.left && len(written) > 0 {
				t.Errorf("the engine was told %v", written)
			}
		})
	}
}
