package guard_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
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

// What a hostile server did is told by the audit alone: which objects, which
// files, which commands. What is secret is not in it.
func TestRecordSaysWhatIsDoneAndKeepsSecrets(t *testing.T) {
	w := guardtest.Fake(t)
	files := guardtest.Bodies()
	service := strings.Replace(files["service.json"], `"A=b"`, `"PASSWORD=hunter3"`, 1)
	service = strings.Replace(service, `"Image"`, `"Secrets": [{"File": {"Name": "/run/secrets/x", "UID": "0", "GID": "0", "Mode": 256}, "SecretID": "$SECRET", "SecretName": "h-$PROJECT-password"}], "Image"`, 1)
	exec := strings.Replace(files["exec.json"], `"Cmd"`, `"Env": ["PASSWORD=hunter4"], "Cmd"`, 1)
	for _, c := range []struct{ call, body, file, want string }{
		{"POST /v1.41/services/create", strings.Replace(service, `"Image"`, `"Command": ["/bin/run"], "Args": ["it"], "Healthcheck": {"Test": ["CMD", "look"]}, "Image"`, 1), "audit.jsonl", `"command":["/bin/run","it"],"check":["CMD","look"]`},
		{"POST /v1.41/services/create", service, "audit.jsonl", `"environment":"prod","project":"$PROJECT","service":"ccccccc2","images":["$IMAGE"],"mounts":["$DATA/volume/prod/$PROJECT/data:/vol/rw","secret h-$PROJECT-password:/run/secrets/x:ro"]`},
		{"POST /v1.41/containers/create?name=h-$PROJECT-$SERVICE-cp", files["carrier.json"], "audit.jsonl", `"project":"$PROJECT","service":"$SERVICE","images":["$IMAGE"],"command":["/never-started"]`},
		{"POST /v1.41/containers/$BOX/exec", exec, "audit.jsonl", `"object":"$BOX","name":"x","environment":"prod","project":"$PROJECT","service":"$SERVICE","command":["/app","print","hello"]`},
		{"PUT /v1.41/containers/$BOX/archive?path=/vol/rw/%3Ca%3E", string(archive(t, file{"f", "hunter5"})), "audit.jsonl", `"service":"$SERVICE","file":"/vol/rw/<a>"`},
		{"DELETE /v1.41/services/$SVC", "", "audit.jsonl", `"name":"h-aaaaaaa2-bbbbbbb2-r1","environment":"prod","project":"$PROJECT","service":"$SERVICE"`},
		{"POST /v1.41/secrets/create", files["secret.json"], "audit.jsonl", `"object":"h-$PROJECT-token","environment":"prod","project":"$PROJECT"`},
		{"POST /v1.41/images/$IMAGE/tag?repo=havre.invalid/prod/app&tag=r1", "", "audit.jsonl", `"images":["$IMAGE","havre.invalid/prod/app:r1"]`},
		{"GET /v1.41/containers/$BOX/archive?path=/etc/shadow", "", "audit-read.jsonl", `"service":"$SERVICE","file":"/etc/shadow","decision":"allowed"`},
		{"GET /v1.41/containers/$BOX/logs?stdout=1", "", "audit-read.jsonl", `"kind":"ContainerLogs"`},
		{"POST /v1.41/services/create", strings.Replace(service, "$DATA/volume/prod/$PROJECT/data", "/etc", 1), "audit-refused.jsonl", `"mounts":["/etc:/vol/rw",`},
	} {
		fill := func(s string) string { return os.Expand(s, func(v string) string { return w.Vars[v] }) }
		conn, err := w.Dial()
		if err != nil {
			t.Fatal(err)
		}
		kind := "application/json"
		if strings.HasPrefix(c.call, "PUT") {
			kind = "application/x-tar"
		}
		body := c.body
		if kind == "application/json" {
			body = fill(body)
		}
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: guard\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", fill(c.call), kind, len(body), body)
		answer, err := io.ReadAll(conn)
		if err := errors.Join(err, conn.Close()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(w.Audit + "/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, fill(c.want)) {
			t.Errorf("%s: the audit ends with %s, want %s; the answer was %s", c.call, last, fill(c.want), answer)
		}
		for _, secret := range []string{"hunter", "aHVudGVyMg"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s: the audit has a secret: %s", c.call, text)
			}
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
