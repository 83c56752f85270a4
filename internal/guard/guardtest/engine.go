// Package guardtest has what attacks on the guard need: an engine that is a
// map, which remembers what was written to it, and scripts that play a server
// that was broken into. The same scripts run against a real engine.
package guardtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Request is what reached the engine.
type Request struct {
	Method, Path, Query, Body string
}

// Engine is a Docker Engine as far as the guard can tell. What it holds is
// the JSON by path: "/networks/<id>".
type Engine struct {
	Socket string

	mu      sync.Mutex // guards what follows
	objects map[string]string
	files   map[string]string // what stands at a path of an image: "<image> <path>" to a stat
	looking map[string]string // containers of the guard's own that are never started, and their images
	written []Request
}

// oldVersion is what the oldest engine that Havre works with says of itself.
const oldVersion = `{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64"}`

// pulled is the digest and the id of all that the engine pulls.
const pulled = "sha256:9999999999999999999999999999999999999999999999999999999999999999"

// apiVersion is in front of a path.
var apiVersion = regexp.MustCompile(`^/v1\.[0-9]+/`)

// NewEngine starts an engine on a socket in dir; it ends with the test.
func NewEngine(t testing.TB, dir string) *Engine {
	t.Helper()
	e := &Engine{Socket: dir + "/engine.sock", objects: map[string]string{}, files: map[string]string{}, looking: map[string]string{}}
	l, err := net.Listen("unix", e.Socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: e}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	e.Put("/version", oldVersion)
	e.Put("/info", `{"Name":"fake","Swarm":{"NodeID":"nodenodenodenodenodenode1","LocalNodeState":"active","ControlAvailable":true,
		"RemoteManagers":[{"Addr":"10.0.0.1:2377"}]},"RegistryConfig":{"Mirrors":["http://secret"]}}`)
	e.Put("/_ping", "OK")
	return e
}

// Put gives the engine an object.
func (e *Engine) Put(path, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.objects[path] = text
}

// PutLink gives an image a link.
func (e *Engine) PutLink(image, path, target string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.files[image+" "+path] = fmt.Sprintf(`{"mode":%d,"linkTarget":%q}`, fs.ModeSymlink|0o777, target)
}

// PutDir gives an image a directory.
func (e *Engine) PutDir(image, path string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.files[image+" "+path] = fmt.Sprintf(`{"mode":%d}`, fs.ModeDir|0o755)
}

// Written is every request so far that could change something, but for the
// containers that the guard looks into images with.
func (e *Engine) Written() []Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Request(nil), e.written...)
}

// ServeHTTP answers as an engine of API 1.41 would.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := apiVersion.ReplaceAllString(r.URL.Path, "/")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		e.write(w, r, path)
		return
	}
	e.mu.Lock()
	text, ok := e.objects[path]
	image := e.looking[idIn(path)]
	stat := e.files[image+" "+r.URL.Query().Get("path")]
	e.mu.Unlock()
	switch {
	case image != "" && strings.HasSuffix(path, "/json"):
		fmt.Fprintf(w, `{"Id":%q}`, idIn(path))
	case stat != "" && strings.HasSuffix(path, "/archive"):
		w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString([]byte(stat)))
	case ok:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, text)
	case path == "/networks":
		io.WriteString(w, e.listNetworks())
	case strings.HasSuffix(path, "/archive") && strings.Contains(path, id64("b")):
		w.Header().Set("X-Docker-Container-Path-Stat", "eyJtb2RlIjo0MjB9") // {"mode":420}
		w.Header().Set("Content-Type", "application/x-tar")
	case path == "/distribution/hub.example:5000/team/app:1/json":
		io.WriteString(w, `{"Descriptor":{"digest":"`+pulled+`"}}`)
	case path == "/distribution/hub.example:5000/team/odd:1/json":
		io.WriteString(w, `{"Descriptor":{"digest":"sha256:../../containers"}}`)
	case strings.HasSuffix(path, "/logs"):
		w.Header().Set("Content-Type", "application/vnd.docker.raw-stream")
		io.WriteString(w, "a line of a log\n")
	case strings.HasSuffix(path, "/stats"):
		io.WriteString(w, `{"read":"2026-01-01T00:00:00Z"}`)
	case path == "/containers/json" || path == "/services" || path == "/tasks" || path == "/configs" || path == "/secrets" || path == "/images/json":
		io.WriteString(w, "[]")
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"message":"no such thing: %s"}`, path)
	}
}

func (e *Engine) write(w http.ResponseWriter, r *http.Request, path string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if e.look(w, r, path, body) {
		return
	}
	e.mu.Lock()
	e.written = append(e.written, Request{r.Method, path, r.URL.Query().Encode(), string(body)})
	e.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Header.Get("Upgrade") != "":
		echo(w)
	case path == "/images/create":
		io.WriteString(w, `{"status":"Pulling"}`+"\n")
		e.Put("/images/"+r.URL.Query().Get("fromImage")+"@"+r.URL.Query().Get("tag")+"/json", `{"Id":"`+pulled+`"}`)
	case path == "/networks/create":
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"Id":%q}`, e.makeNetwork(body))
	case strings.HasSuffix(path, "/create") || strings.HasSuffix(path, "/exec"):
		w.WriteHeader(http.StatusCreated)
		id := strings.Repeat("d", 64)
		fmt.Fprintf(w, `{"Id":%q,"ID":%q}`, id, id)
	case path == "/build" || path == "/images/load":
		io.WriteString(w, `{"stream":"done"}`+"\n")
	case strings.HasSuffix(path, "/update"):
		io.WriteString(w, `{"Warnings":null}`)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// idIn is the container's id in a path.
func idIn(path string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(path, "/containers/"), "/")
	return id
}

// look makes and removes the containers with which the guard looks into images.
func (e *Engine) look(w http.ResponseWriter, r *http.Request, path string, body []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Method == http.MethodDelete && e.looking[idIn(path)] != "" {
		delete(e.looking, idIn(path))
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	var c struct {
		Image      string
		Labels     map[string]string
		HostConfig struct{ Mounts []struct{ Type string } }
	}
	filled := func(m struct{ Type string }) bool { return m.Type == "bind" }
	if path != "/containers/create" || json.Unmarshal(body, &c) != nil || c.Labels["havre.kind"] != "seed" || slices.ContainsFunc(c.HostConfig.Mounts, filled) {
		return false
	}
	id := fmt.Sprintf("%064d", len(e.looking)+1)
	e.looking[id] = c.Image
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"Id":%q}`, id)
	return true
}

// makeNetwork keeps a network as it was asked for, and gives its id.
func (e *Engine) makeNetwork(body []byte) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := fmt.Sprintf("%025d", len(e.written))
	e.objects["/networks/"+id] = strings.Replace(string(body), "{", fmt.Sprintf(`{"Id":%q,`, id), 1)
	return id
}

func (e *Engine) listNetworks() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for path, text := range e.objects {
		if strings.HasPrefix(path, "/networks/") {
			all = append(all, text)
		}
	}
	return "[" + strings.Join(all, ",") + "]"
}

// echo plays a command that repeats its input once it has ended.
func echo(w http.ResponseWriter) {
	conn, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
	if input, err := io.ReadAll(rest.Reader); err == nil {
		conn.Write(input)
	}
}
