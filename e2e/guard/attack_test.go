package guard_test

import (
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/guard/guardtest"
)

// What the scripts make is removed by whoever looks next: an allowed call
// that passes leaves a thing behind.
func (s *site) tidy(t testing.TB) {
	t.Helper()
	kept := map[string]bool{}
	for _, v := range s.vars {
		kept[v] = true
	}
	for _, n := range []struct{ list, path, query, id string }{
		{"/v1.41/services", "/v1.41/services/", "", "ID"},
		{"/v1.41/containers/json?all=1&filters=%7B%22label%22:%7B%22havre.kind=carrier%22:true%7D%7D", "/v1.41/containers/", "?force=1", "Id"},
		{"/v1.41/containers/json?all=1&filters=%7B%22label%22:%7B%22havre.kind=hook%22:true%7D%7D", "/v1.41/containers/", "?force=1", "Id"},
		{"/v1.41/networks", "/v1.41/networks/", "", "Id"},
		{"/v1.41/configs", "/v1.41/configs/", "", "ID"},
		{"/v1.41/secrets", "/v1.41/secrets/", "", "ID"},
	} {
		var items []map[string]any
		s.must(t, "GET", n.list, "", &items)
		for _, i := range items {
			if id, _ := i[n.id].(string); id != "" && !kept[id] {
				if err := s.ask("DELETE", n.path+id+n.query, "", nil); err != nil {
					t.Log(err)
				}
			}
		}
	}
}

func TestRealEngineIsSafeFromAHostileServer(t *testing.T) {
	s := open(t)
	scripts, err := filepath.Glob("../script/guard_*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no attacks: %v", err)
	}
	// The site has a portal already; a second one has the same name.
	guardtest.Run(t, func(t testing.TB) *guardtest.World {
		s.tidy(t)
		if strings.HasSuffix(t.Name(), "guard_portal") {
			s.must(t, "DELETE", "/v1.41/containers/$PORTAL?force=1", "", nil)
		}
		return s.world(t)
	}, scripts...)
}
