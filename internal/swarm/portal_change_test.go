package swarm_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"havre/internal/guard"
	"havre/internal/lab"
	"havre/internal/portal"
	"havre/internal/service"
	"havre/internal/swarm"
)

// upgraded is the world seen through the guard of another Havre, whose portal
// is the same program in another image.
func (w world) upgraded(t *testing.T) world {
	t.Helper()
	program, err := portal.Program()
	if err != nil {
		t.Fatal(err)
	}
	image, err := portal.NewArchive(portal.Recipe{
		Repository: "havre.invalid/portal", User: fmt.Sprint(portalUser), Entrypoint: []string{"/havre-portal"},
		Files: []portal.File{
			{Path: "etc", Mode: fs.ModeDir | 0o555},
			{Path: "etc/nsswitch.conf", Mode: 0o444, Body: []byte("hosts: dns\n")},
			{Path: "etc/version", Mode: 0o444, Body: []byte("another\n")},
			{Path: "havre-portal", Mode: 0o555, Body: program},
			{Path: "portal", Mode: fs.ModeDir | 0o555},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.guarded(t, guard.Settings{
		Dir: filepath.Join(w.data, "guard"), Socket: filepath.Join(w.Dir, "guard2.sock"), Engine: w.Socket, NoFirewall: true, PortalUser: portalUser,
		PortalImage: func() (io.Reader, string, error) { return bytes.NewReader(image.Bytes), image.ID, nil },
	})
	return w
}

// portals gives those of the environment, the oldest first.
func portals(ctx context.Context, s *swarm.Swarm) ([]service.Portal, error) {
	snap, err := s.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if p := snap.Portals; len(p) == 2 && p[0].Generation > p[1].Generation {
		p[0], p[1] = p[1], p[0]
	}
	return snap.Portals, nil
}

// hold opens a connection through the portal that stays.
func (w world) hold(t *testing.T, d service.Desired) net.Conn {
	t.Helper()
	dial(t, w, d)
	o, err := w.observe(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	c, err := portal.Dial(t.Context(), filepath.Join(w.data, "portal", "prod", "portal.sock"), portal.Target{Container: o.Tasks[0].Container, Address: o.Tasks[0].Address, Port: 25})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConnectionsOutliveAChangeOfThePortal(t *testing.T) {
	w := open(t)
	d := w.project(t, "portal26", "10.87.24.0/24")
	d.Variables = []string{"TCP=25", "HTTP=none"}
	w.running(t, d)
	other := w.project(t, "portal27", "10.87.25.0/24")
	nets := []string{d.Network, other.Network}
	first := w.swarm // the other one's guard ends before
	t.Cleanup(func() {
		if err := first.RemovePortal(context.WithoutCancel(t.Context()), "prod"); err != nil {
			t.Error(err)
		}
	})
	if err := w.swarm.EnsurePortal(t.Context(), "prod", nets); err != nil {
		t.Fatal(err)
	}
	long := w.hold(t, d)
	said := bufio.NewReader(long)
	if line, err := said.ReadString('\n'); err != nil || !strings.HasPrefix(line, "v1 10.87.") {
		t.Fatalf("it greets with %q, %v", line, err)
	}
	before := w.portal(t)

	w = w.upgraded(t)
	for range 2 { // twice is once
		if err := w.swarm.EnsurePortal(t.Context(), "prod", nets); err != nil {
			t.Fatal(err)
		}
	}
	all, err := portals(t.Context(), w.swarm)
	if err != nil || len(all) != 2 || all[0].Container != before.Container || !all[0].Running || !all[1].Running || all[0].Image == all[1].Image || len(all[1].Networks) != 2 {
		t.Fatalf("portals are %+v, %v", all, err)
	}
	short := w.hold(t, d)
	talk(t, bufio.NewReader(short), short, true)
	talk(t, said, long, false)
	short.Close()
	dial(t, w, d)
	if all, err := portals(t.Context(), w.swarm); err != nil || len(all) != 2 || !all[0].Running {
		t.Errorf("with a connection the portals are %+v, %v", all, err)
	}
	long.Close()
	lab.Eventually(t, "the old portal to end", func(ctx context.Context) error {
		all, err := portals(ctx, w.swarm)
		if err == nil && (len(all) != 2 || all[0].Running) {
			err = fmt.Errorf("portals are %+v", all)
		}
		return err
	})
	if err := w.swarm.EnsurePortal(t.Context(), "prod", nets); err != nil {
		t.Fatal(err)
	}
	if w.portal(t).Container != all[1].Container {
		t.Error("the new portal was replaced")
	}
	dial(t, w, d)
}

// talk says something and wants it back.
func talk(t *testing.T, from *bufio.Reader, c net.Conn, greets bool) {
	t.Helper()
	if greets {
		if _, err := from.ReadString('\n'); err != nil {
			t.Error(err)
		}
	}
	if _, err := io.WriteString(c, "ahoy\n"); err != nil {
		t.Error(err)
	}
	if line, err := from.ReadString('\n'); err != nil || !strings.Contains(line, "ahoy") {
		t.Errorf("it answers %q, %v", line, err)
	}
}
