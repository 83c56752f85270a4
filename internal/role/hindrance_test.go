package role_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/problem"
	"havre/internal/role"
)

func TestUpSaysWhoHasTheAddressOfTheAPI(t *testing.T) {
	l := role.Layout{Data: t.TempDir()}
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	r, err := role.Find("server")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(l.Data, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := role.Override(l, r, map[string]any{"listen": held.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	err = l.Hindrance()
	if p := problem.Of(err); err == nil || p.Kind != problem.Conflict || !strings.Contains(p.Says, held.Addr().String()) || !strings.Contains(p.Remedy, "havre up --detach --listen 127.0.0.1:") {
		t.Errorf("an address that somebody has: %v", err)
	}
	held.Close()
	if err := l.Hindrance(); err != nil {
		t.Errorf("an address that is free: %v", err)
	}
}

func TestWhoWaitsInVainHearsTheLastComplaint(t *testing.T) {
	l := role.Layout{Data: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(l.Data, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	if said := l.LastWords(); said != "" {
		t.Errorf("nobody said %q", said)
	}
	text := strings.Repeat("havre: of old\n", 2000) + "time=x level=WARN msg=y\nhavre: the database is locked\n  remedy: wait\ntime=x msg=z\n"
	if err := os.WriteFile(l.Log("server"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := l.LastWords(); said != "; the server last said: the database is locked" {
		t.Errorf("it said %q", said)
	}
}
