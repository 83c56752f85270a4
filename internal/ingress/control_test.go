package ingress_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"havre/internal/ingress"
	"havre/internal/portal/portaltest"
	"havre/internal/problem"
	"havre/internal/route"
)

func TestWrongTablesChangeNothing(t *testing.T) {
	w, port := open(t), freePort(t)
	w.must(onlyTCP(port, w.says("hi")))
	for what, body := range map[string]string{
		"nothing":       "",
		"no table":      `"table"`,
		"unknown field": `{"udp":[{"listen":53}]}`,
		"two tables":    "{}{}",
		"bad access":    fmt.Sprintf(`{"tcp":[{"listen":%d,"access":"all","service":"a"}]}`, port),
		"climbing":      `{"tcp":[{"listen":1,"access":"public","service":"a","targets":[{"environment":"../x","container":"","address":"10.0.0.1","port":1}]}]}`,
	} {
		_, err := w.call("PUT", "/table", []byte(body))
		if err == nil || !strings.Contains(err.Error(), "400") || !strings.Contains(err.Error(), `"kind":"invalid"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if word, err := read(t, port); err != nil || word != "hi" {
		t.Errorf("afterwards: %q, %v", word, err)
	}
	if v := w.status().Version; v != 1 {
		t.Errorf("version = %d", v)
	}
}

func TestSameTableAgainChangesNothing(t *testing.T) {
	w, port := open(t), freePort(t)
	table := onlyTCP(port, w.says("hi"))
	for n := range 3 {
		w.must(table)
		if s := w.status(); s.Digest != table.Digest() || s.Version != uint64(n+1) {
			t.Errorf("status = %+v", s)
		}
		if _, err := read(t, port); err != nil {
			t.Error(err)
		}
	}
	if l := w.listener(fmt.Sprintf(":%d/tcp", port)); l.Total != 3 {
		t.Errorf("counted %d; the port was opened anew", l.Total)
	}
}

func TestProbeTellsWhetherAContainerAccepts(t *testing.T) {
	w := open(t)
	good := w.says("hi")
	deaf, gone := good, good
	deaf.Port = freePort(t)
	gone.Container = portaltest.ID("gone")
	elsewhere := good
	elsewhere.Environment = "qualif"
	for _, c := range []struct {
		target route.Target
		ok     bool
		says   string
	}{{good, true, ""}, {deaf, false, "refused"}, {gone, false, "unknown"}, {elsewhere, false, "connect to"}} {
		body, _ := json.Marshal(route.Probe{Target: c.target})
		b, err := w.call("POST", "/probe", body)
		if err != nil {
			t.Fatal(err)
		}
		var p route.Probed
		if err := json.Unmarshal(b, &p); err != nil || p.OK != c.ok || !strings.Contains(p.Says, c.says) {
			t.Errorf("probe of %+v: %s, %v", c.target, b, err)
		}
	}
	for _, body := range []string{"", "{}", `{"target":{"environment":"prod"}}`, `{"port":25}`} {
		if _, err := w.call("POST", "/probe", []byte(body)); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestOtherCallsAreNotThere(t *testing.T) {
	w := open(t)
	for _, c := range [][2]string{{"GET", "/table"}, {"DELETE", "/table"}, {"GET", "/"}, {"PUT", "/status"}, {"PUT", "/table/"}} {
		if b, err := w.call(c[0], c[1], nil); err == nil {
			t.Errorf("%v: %s", c, b)
		}
	}
}

func TestControlSocketIsForItsGroup(t *testing.T) {
	for group, want := range map[int]os.FileMode{0: 0o600, os.Getegid() + 1: 0o660} {
		if group != 0 && os.Geteuid() != 0 {
			continue // only root may give a file to any group
		}
		w := open(t, func(s *ingress.Settings) { s.ControlGroup = group })
		i, err := os.Stat(w.set.ControlSocket)
		if err != nil || i.Mode().Perm() != want {
			t.Errorf("group %d: mode %v, %v; want %v", group, i.Mode().Perm(), err, want)
		}
	}
}

func TestSecondIngressIsRefusedWhereTheFirstDoesNotHandOver(t *testing.T) {
	w := open(t)
	eventually(t, "the socket for heirs", func() error { // which comes after the one that says it is ready
		return os.Remove(ingress.HeirSocket(w.set.ControlSocket)) // as before there was one
	})
	i, err := ingress.New(w.set)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Run(t.Context()); problem.KindOf(err) != problem.Conflict {
		t.Errorf("err = %v", err)
	}
	if _, err := w.call("GET", "/status", nil); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
}

func TestSocketOfADeadIngressIsTakenOver(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{w.set.ControlSocket, w.set.ControlSocket + ".new"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	stop := w.start()
	w.must(route.Table{})
	stop()
	if _, err := os.Lstat(w.set.ControlSocket); !os.IsNotExist(err) {
		t.Errorf("after the end: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	good := newWorld(t).set
	for what, spoil := range map[string]func(*ingress.Settings){
		"no table file":     func(s *ingress.Settings) { s.TableFile = "" },
		"relative socket":   func(s *ingress.Settings) { s.ControlSocket = "ingress.sock" },
		"no portals":        func(s *ingress.Settings) { s.Dial = nil },
		"negative limit":    func(s *ingress.Settings) { s.MaxConns = -1 },
		"negative interval": func(s *ingress.Settings) { s.Retry = -time.Second },
	} {
		set := good
		spoil(&set)
		if _, err := ingress.New(set); problem.KindOf(err) != problem.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	good.ControlSocket = filepath.Join(t.TempDir(), "there", "is", "no", "such", "directory")
	i, err := ingress.New(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Run(t.Context()); err == nil {
		t.Error("it runs without a control socket")
	}
}
