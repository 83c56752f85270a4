package guard_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"havre/internal/guard"
	"havre/internal/guard/guardtest"
)

// A disk without room for the audit's line is /dev/full.
func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	for name, c := range map[string]struct {
		full            bool
		status, written int
	}{"room": {false, http.StatusCreated, 1}, "no room": {true, http.StatusInternalServerError, 0}} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := guard.WriteBounds(dir+"/guard", guard.DefaultBounds(dir+"/data", uint32(os.Getuid()), 4242)); err != nil {
			t.Fatal(err)
		}
		if c.full {
			if err := os.Symlink("/dev/full", dir+"/guard/audit.jsonl"); err != nil {
				t.Fatal(err)
			}
		}
		engine := guardtest.NewEngine(t, dir)
		set := guard.Settings{
			Dir: dir + "/guard", Socket: dir + "/guard.sock", SocketGroup: os.Getgid(), Engine: engine.Socket, Owner: uint32(os.Getuid()),
			NoFirewall: true, NoRemount: true,
		}
		guardtest.Start(t, set)
		if got := makeNetwork(t, set.Socket); got != c.status {
			t.Errorf("%s for the audit: %d, want %d", name, got, c.status)
		}
		if got := engine.Written(); len(got) != c.written {
			t.Errorf("%s for the audit: the engine heard %+v", name, got)
		}
	}
}

// makeNetwork asks a guard for a network that it allows, and gives the status.
func makeNetwork(t *testing.T, socket string) int {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := guardtest.Bodies()["network.json"]
	fmt.Fprintf(conn, "POST /v1.41/networks/create HTTP/1.1\r\nHost: guard\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	return a.StatusCode
}
