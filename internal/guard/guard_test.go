package guard_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"havre/internal/guard"
	"havre/internal/guard/guardtest"
)

// The guard is root: what is linked into it is what root runs.
func TestImportClosureIsPinned(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "havre/internal/guard").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(out))
	slices.Sort(got)
	want := []string{"golang.org/x/sys/unix", "havre/internal/audit", "havre/internal/dockercall", "havre/internal/guard", "havre/internal/holder", "havre/internal/imagepath", "havre/internal/pattern", "havre/internal/policy", "havre/internal/problem"}
	if !slices.Equal(got, want) {
		t.Errorf("the guard is made of\n%s\nnot of\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// directory makes a guard's directory with bounds.
func directory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "guard")
	if err := guard.WriteBounds(dir, guard.DefaultBounds(filepath.Dir(dir)+"/data", 998, 997)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(dir string, owner int) error {
	_, err := guard.New(guard.Settings{Dir: dir, Socket: dir + "/sock", Owner: uint32(owner)})
	return err
}

func TestBoundsThatOthersCouldChangeAreRefused(t *testing.T) {
	if err := start(directory(t), os.Getuid()); err != nil {
		t.Fatalf("good bounds: %v", err)
	}
	for name, spoil := range map[string]func(dir string) error{
		"file for the group":   func(dir string) error { return os.Chmod(dir+"/bounds.json", 0o660) },
		"file for all to read": func(dir string) error { return os.Chmod(dir+"/bounds.json", 0o604) },
		"directory for all":    func(dir string) error { return os.Chmod(dir, 0o711) },
		"link": func(dir string) error {
			return errors.Join(os.Rename(dir+"/bounds.json", dir+"/x"), os.Symlink("x", dir+"/bounds.json"))
		},
		"unknown key": func(dir string) error {
			return os.WriteFile(dir+"/bounds.json", []byte(`{"Privileged": true}`), 0o600)
		},
		"nothing in it": func(dir string) error { return os.WriteFile(dir+"/bounds.json", []byte(`{}`), 0o600) },
	} {
		dir := directory(t)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if err := start(dir, os.Getuid()); err == nil {
			t.Errorf("%s: the guard starts", name)
		}
	}
	if err := start(directory(t), os.Getuid()+1); err == nil {
		t.Error("the guard starts with another user's bounds")
	}
}

func TestBoundsThatStandAreNotChanged(t *testing.T) {
	dir := directory(t)
	before, err := os.ReadFile(dir + "/bounds.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.WriteBounds(dir, guard.DefaultBounds("/elsewhere", 1, 2)); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(dir + "/bounds.json"); string(after) != string(before) {
		t.Errorf("they became %s", after)
	}
}

func TestInstanceStaysTheSame(t *testing.T) {
	dir := directory(t)
	var ids []string
	for range 2 {
		g, err := guard.New(guard.Settings{Dir: dir, Socket: dir + "/sock", Owner: uint32(os.Getuid())})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, g.Instance())
	}
	if ids[0] != ids[1] || len(ids[0]) < 16 {
		t.Errorf("ids %v", ids)
	}
}

func get(t *testing.T, dial func() (net.Conn, error), path string) (int, string) {
	t.Helper()
	conn, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n\r\n", path)
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

// Docker 29 raised the oldest version to 1.44 and broke its clients.
func TestOldestVersionOfTheEngineIsSpoken(t *testing.T) {
	w := guardtest.FakeOf(t, `{"Version":"29.0.0","MinAPIVersion":"1.44"}`)
	if status, text := get(t, w.Dial, "/v1.41/containers/json"); status != 400 || !strings.Contains(text, "1.44") {
		t.Errorf("%d %s", status, text)
	}
	if status, text := get(t, w.Dial, "/v1.44/containers/json"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
}

// A command's input ends before its output does.
func TestCommandGetsItsInputAndAnswersAfterItsEnd(t *testing.T) {
	w := guardtest.Fake(t)
	conn, err := w.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"Detach":false,"Tty":true}`
	fmt.Fprintf(conn, "POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: guard\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%searly ", w.Vars["EXEC"], len(body), body)
	in := bufio.NewReader(conn)
	a, err := http.ReadResponse(in, nil)
	if err != nil || a.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", a, err)
	}
	io.WriteString(conn, "late")
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(in); err != nil || string(text) != "early late" {
		t.Errorf("it answered %q, %v", text, err)
	}
}

// The engine is asked for Havre's events only; an engine that sends others is
// not believed.
func TestForeignEventsAreLeftOut(t *testing.T) {
	w := guardtest.Fake(t)
	event := `{"Type":"container","Action":"start","Actor":{"ID":%q,"Attributes":{"havre.instance":%q}}}` + "\n"
	w.Fake.Put("/events", fmt.Sprintf(event, "theirs", "another")+fmt.Sprintf(event, "ours", w.Vars["INSTANCE"]))
	if status, text := get(t, w.Dial, "/v1.41/events"); status != 200 || strings.Contains(text, "theirs") || !strings.Contains(text, "ours") {
		t.Errorf("%d %s", status, text)
	}
}

func TestAllowedChangeIsRecordedWithWhoAndWhat(t *testing.T) {
	w := guardtest.Fake(t)
	conn, err := w.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "DELETE /v1.41/services/%s HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n\r\n", w.Vars["SVC"])
	if text, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 204") {
		t.Fatalf("%s, %v", text, err)
	}
	text, err := os.ReadFile(w.Audit + "/audit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"kind":"ServiceRemove"`, `"decision":"allowed"`, `"object":"` + w.Vars["SVC"], fmt.Sprintf(`"uid":%d,"pid":%d`, os.Getuid(), os.Getpid())} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the audit lacks %s: %s", want, text)
		}
	}
}
