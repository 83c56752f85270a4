package role_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"

	"havre/internal/metric"
	"havre/internal/role"
	"havre/internal/route"
)

func TestMetricsSayWhomPortsTurnedAway(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if of := role.Ports(t, socket); len(of) > 0 {
		t.Errorf("ports of an ingress that is away: %v", of)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(route.Status{Listeners: []route.Listener{{Listen: ":25/tcp", Denied: 1, Crowded: 2, Beyond: 3, Failed: 4}, {Listen: ":80/http"}}})
	}))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	want := []metric.Port{{Listen: ":25/tcp", Denied: 1, Crowded: 2, Beyond: 3, Failed: 4}, {Listen: ":80/http"}}
	if of := role.Ports(t, socket); !slices.Equal(of, want) {
		t.Errorf("ports = %+v; want %+v", of, want)
	}
}
