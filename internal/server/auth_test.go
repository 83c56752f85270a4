package server_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/server"
)

// ask sends a plain request and reads the problem, if any.
func (w *world) ask(t *testing.T, change func(*http.Request)) (*http.Response, api.Problem) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.tcp+"/v1/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	change(r)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var p api.Problem
	if resp.StatusCode >= 400 {
		if kind := resp.Header.Get("Content-Type"); kind != api.ContentProblem {
			t.Errorf("content type %q", kind)
		}
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			t.Errorf("the answer is no problem: %v", err)
		}
	}
	return resp, p
}

func TestTheTokenOpensTheDoor(t *testing.T) {
	w := open(t, nil)
	for header, want := range map[string]int{
		"Bearer right-token":  http.StatusOK,
		"bearer right-token":  http.StatusOK,
		"Bearer wrong":        http.StatusUnauthorized,
		"Bearer right-token ": http.StatusOK, // blanks at the end are no part of a header
		"Bearer right-tokenx": http.StatusUnauthorized,
		"Bearer ":             http.StatusUnauthorized,
		"Basic right-token":   http.StatusUnauthorized,
		"right-token":         http.StatusUnauthorized,
		"":                    http.StatusUnauthorized,
	} {
		resp, p := w.ask(t, func(r *http.Request) { r.Header.Set("Authorization", header) })
		if resp.StatusCode != want {
			t.Errorf("%q: %s, want %d", header, resp.Status, want)
		}
		if want == http.StatusUnauthorized && (p.Kind != problem.Denied || p.Remedy == "" || resp.Header.Get("WWW-Authenticate") == "") {
			t.Errorf("%q: %+v", header, p)
		}
	}
}

func TestWithoutATokenOfItsOwnTheServerLetsNobodyIn(t *testing.T) {
	w := open(t, func(s *server.Settings) { s.Token = secret.Text{} })
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer right-token"} {
		if resp, _ := w.ask(t, func(r *http.Request) { r.Header.Set("Authorization", header) }); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %s", header, resp.Status)
		}
	}
}

func TestTheRootIsForEverybody(t *testing.T) {
	w := open(t, nil)
	for path, want := range map[string]int{"/v1/authority": http.StatusOK, "/v1/authority/": http.StatusUnauthorized, "/v1/authority/x": http.StatusUnauthorized, "/v1/version": http.StatusUnauthorized} {
		resp, _ := w.ask(t, func(r *http.Request) { r.URL.Path = path; r.Header.Del("Authorization") })
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	resp, _ := w.ask(t, func(r *http.Request) {
		r.URL.Path, r.Host = "/v1/authority", "evil.example"
		r.Header.Del("Authorization")
	})
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("under another name: %s", resp.Status)
	}
}

func TestOtherHostNamesAreRefused(t *testing.T) {
	w := open(t, nil)
	_, port, _ := net.SplitHostPort(w.tcp)
	for host, ok := range map[string]bool{
		"localhost:" + port: true, "127.0.0.1:" + port: true, "[::1]:" + port: true, "LOCALHOST": true, "127.0.0.1": true, "[::1]": true,
		"localhost:1":  true, // through a tunnel
		"evil.example": false, "evil.example:" + port: false, "localhost.evil.example:" + port: false,
		"127.0.0.1.evil.example": false, "127.0.0.2:" + port: false, "localhost:80@evil": false, "localhost:x": false,
	} {
		resp, p := w.ask(t, func(r *http.Request) { r.Host = host })
		if got := resp.StatusCode == http.StatusOK; got != ok {
			t.Errorf("host %q: %s", host, resp.Status)
		}
		if !ok && resp.StatusCode == http.StatusForbidden && (p.Kind != problem.Denied || p.Remedy == "") {
			t.Errorf("host %q: %+v", host, p)
		}
	}
}

func TestNoSiteMayReadAnswers(t *testing.T) {
	w := open(t, nil)
	resp, _ := w.ask(t, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
	for name := range resp.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("header %s is there", name)
		}
	}
}

// TestRootNeedsNoTokenOnTheSocket is two tests: as root the kernel's word is
// enough; as another user, a child of this test, it is not.
func TestRootNeedsNoTokenOnTheSocket(t *testing.T) {
	if address := os.Getenv("HAVRE_TEST_SOCKET"); address != "" {
		askAsChild(t, address)
		return
	}
	w := open(t, nil)
	_, err := w.client(t, "unix://"+w.socket, "").Version(t.Context())
	if os.Geteuid() != 0 {
		if problem.KindOf(err) != problem.Denied {
			t.Errorf("an ordinary user without a token: %v", err)
		}
		t.Skip("only root can try the rest")
	}
	if err != nil {
		t.Errorf("root: %v", err)
	}
	if err := os.Chmod(w.socket, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dirOf(w.socket), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestRootNeedsNoTokenOnTheSocket$", "-test.v")
	cmd.Env = append(os.Environ(), "HAVRE_TEST_SOCKET=unix://"+w.socket)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "asked as 65534") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func dirOf(path string) string { return path[:strings.LastIndex(path, "/")] }

func askAsChild(t *testing.T, address string) {
	for token, want := range map[string]problem.Kind{"": problem.Denied, "wrong": problem.Denied, "right-token": ""} {
		c, err := client.New(client.Config{URL: address, Token: secret.New(token)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Version(context.Background()); problem.KindOf(err) != want {
			t.Errorf("token %q: %v, want kind %q", token, err, want)
		}
	}
	t.Logf("asked as %d", os.Geteuid())
}

func TestTheSocketIsClosedToOthers(t *testing.T) {
	for group, want := range map[int]os.FileMode{0: 0o600, os.Getegid() + 1: 0o660} {
		if group > 1 && os.Geteuid() != 0 {
			continue
		}
		w := open(t, func(s *server.Settings) { s.Group = group })
		info, err := os.Stat(w.socket)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("group %d: %v, %v; want %v", group, info.Mode(), err, want)
		}
		if gid := int(info.Sys().(*syscall.Stat_t).Gid); group > 0 && gid != group {
			t.Errorf("group is %d, want %d", gid, group)
		}
	}
}

func TestASocketLeftBehindIsTakenOver(t *testing.T) {
	w := open(t, nil)
	w.stop()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: w.socket})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as after kill -9
	l.Close()
	open(t, func(s *server.Settings) { s.Socket = w.socket })
	if _, err := w.client(t, "unix://"+w.socket, w.token).Version(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMetricsNeedTheTokenUnlessTheyAreOpen(t *testing.T) {
	for _, open1 := range []bool{false, true} {
		w := open(t, func(s *server.Settings) { s.Metrics = open1 })
		for path, want := range map[string]int{"/metrics": map[bool]int{false: 401, true: 200}[open1], "/v1/services": 401, "/metrics/": 401} {
			resp, err := http.Get("http://" + w.tcp + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("open %v: %s answers %d, want %d", open1, path, resp.StatusCode, want)
			}
		}
	}
}

func TestPagesAreForBrowsersOfThisMachineAndNeverOfTheAPI(t *testing.T) {
	seen := ""
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = r.URL.Path; w.WriteHeader(http.StatusTeapot) })
	w := open(t, func(s *server.Settings) { s.Pages = pages })
	for _, c := range []struct {
		host, path string
		want       int
	}{
		{"localhost", "/", 418}, {"localhost", "/service/prod/shop/web", 418}, {"evil.example", "/", 403},
		{"localhost", "/v1/services", 401}, {"localhost", "/v1", 401}, {"localhost", "/metrics", 401}, {"localhost", "/v1/../", 401},
	} {
		seen = ""
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.tcp, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.URL.Path = c.host, c.path
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want || (c.want == 418) != (seen != "") {
			t.Errorf("%s as %s: %d (page %q), want %d", c.path, c.host, resp.StatusCode, seen, c.want)
		}
	}
}
