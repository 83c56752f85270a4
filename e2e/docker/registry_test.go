package docker_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

var docker struct { // docker-registry, once for all tests
	once     sync.Once
	registry string
}

// registryProgram is Debian's docker-registry. It is taken out of its package
// into the world, because installing that would start one on the machine.
func registryProgram(t *testing.T, h *havre) string {
	t.Helper()
	docker.once.Do(func() {
		if found, err := exec.LookPath("docker-registry"); err == nil {
			docker.registry = found
			return
		}
		get := exec.Command("sh", "-c", "apt-get -qq download docker-registry && dpkg-deb --extract docker-registry_*.deb . && rm docker-registry_*.deb")
		get.Dir = filepath.Join(h.world.Dir, "registry")
		if err := os.Mkdir(get.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := get.CombinedOutput(); err != nil {
			t.Fatalf("get docker-registry: %v\n%s", err, out)
		}
		docker.registry = filepath.Join(get.Dir, "usr/bin/docker-registry")
	})
	if docker.registry == "" {
		t.Fatal("there is no docker-registry; see the first test")
	}
	return docker.registry
}

// registry is a registry in the world, for images of the lab's little server.
type registry struct {
	at       string // host:port
	program  string // what its images run
	password string // of user; "" asks for none
	web      *http.Client
	end      func() // ends it, like a crash
}

const user = "somebody"

// listening is what the registry says of itself.
var listening = regexp.MustCompile(`listening on ([0-9.]+:[0-9]+)`)

// newRegistry starts one; with a password it gives nothing without it.
func newRegistry(t *testing.T, h *havre, password string) *registry {
	t.Helper()
	binary, dir := registryProgram(t, h), t.TempDir()
	config := h.write(t, filepath.Join(dir, "config.yml"), "version: 0.1\nlog: {accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: '"+filepath.Join(dir, "data")+"'}}\nhttp: {addr: '127.0.0.1:0'}\n"+locked(t, dir, password))
	cmd := h.world.Command(context.Background(), binary, "serve", config)
	says, err := cmd.StderrPipe()
	if err == nil {
		cmd.Stdout = cmd.Stderr
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{program: h.world.App(t), password: password, web: &http.Client{Transport: &http.Transport{DialContext: h.world.Dial}}}
	var reading sync.WaitGroup
	r.end = sync.OnceFunc(func() { _ = cmd.Process.Kill(); reading.Wait(); _ = cmd.Wait(); r.web.CloseIdleConnections() })
	t.Cleanup(r.end)
	lines := bufio.NewScanner(says)
	var all []string
	for r.at == "" && lines.Scan() {
		all = append(all, lines.Text())
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			r.at = m[1]
		}
	}
	if r.at == "" {
		t.Fatalf("the registry did not start:\n%s", strings.Join(all, "\n"))
	}
	reading.Go(func() { _, _ = io.Copy(io.Discard, says) })
	return r
}

// locked is the configuration of a registry with a password.
func locked(t *testing.T, dir, password string) string {
	t.Helper()
	if password == "" {
		return ""
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(file, []byte(user+":"+string(hash)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "auth: {htpasswd: {realm: test, path: '" + file + "'}}\n"
}

// send asks the registry for something that must be granted, and gives where
// to go on.
func (r *registry) send(t *testing.T, method, url string, text []byte) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/octet-stream")
	if strings.Contains(url, "/manifests/") {
		q.Header.Set("Content-Type", manifestType)
	}
	if r.password != "" {
		q.SetBasicAuth(user, r.password)
	}
	answer, err := r.web.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if says, _ := io.ReadAll(answer.Body); answer.StatusCode >= 300 {
		t.Fatalf("%s %s: %s\n%s", method, url, answer.Status, says)
	}
	return answer.Header.Get("Location")
}

// keep gives the registry a blob (OCI distribution 1.1, end-4a and end-6).
func (r *registry) keep(t *testing.T, repo string, text []byte) {
	t.Helper()
	at := r.send(t, http.MethodPost, "http://"+r.at+"/v2/"+repo+"/blobs/uploads/", nil)
	r.send(t, http.MethodPut, at+"&digest="+digestOf(text), text)
}

func digestOf(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }

// narrow is another address of the registry, which is gone for good after so
// many bytes came from it.
func (r *registry) narrow(t *testing.T, h *havre, most int64) (at string) {
	t.Helper()
	l, err := h.world.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, gone := context.WithCancel(context.Background())
	var work sync.WaitGroup
	t.Cleanup(func() { gone(); work.Wait() })
	context.AfterFunc(ctx, func() { l.Close() })
	left := new(atomic.Int64)
	left.Store(most)
	work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := h.world.Dial(ctx, "tcp", r.at)
			if err != nil {
				in.Close()
				continue
			}
			context.AfterFunc(ctx, func() { in.Close(); out.Close() })
			work.Go(func() { _, _ = io.Copy(out, in) })
			work.Go(func() { defer in.Close(); defer out.Close(); trickle(in, out, left, gone) })
		}
	})
	return l.Addr().String()
}

// trickle passes bytes on until none are left.
func trickle(to io.Writer, from net.Conn, left *atomic.Int64, gone func()) {
	some := make([]byte, 4096)
	for {
		n, err := from.Read(some)
		if left.Add(int64(-n)) < 0 {
			gone()
			return
		}
		if _, wrong := to.Write(some[:n]); err != nil || wrong != nil {
			return
		}
	}
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

// published is the lab's little server under a name.
type published struct {
	name, says string
	labels     map[string]string
}

// publish gives the digest.
func (r *registry) publish(t *testing.T, p published) string {
	t.Helper()
	program, err := os.ReadFile(r.program)
	if err != nil {
		t.Fatal(err)
	}
	var plain, packed bytes.Buffer
	archive := tar.NewWriter(&plain)
	// No other test's layer is the same, or the engine would have it already.
	for name, content := range map[string][]byte{"app": program, "origin": []byte(r.at + "/" + p.name + p.says)} {
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg})
		}
		if err == nil {
			_, err = archive.Write(content)
		}
	}
	z := gzip.NewWriter(&packed)
	for _, then := range []func() error{archive.Close, func() error { _, err := z.Write(plain.Bytes()); return err }, z.Close} {
		if err == nil {
			err = then()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/app"}, "Env": []string{"VERSION=" + p.says}, "ExposedPorts": map[string]any{"8080/tcp": map[string]any{}}, "Labels": p.labels},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digestOf(plain.Bytes())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	part := func(kind string, text []byte) map[string]any {
		return map[string]any{"mediaType": kind, "size": len(text), "digest": digestOf(text)}
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": part("application/vnd.docker.container.image.v1+json", config),
		"layers": []any{part("application/vnd.docker.image.rootfs.diff.tar.gzip", packed.Bytes())},
	})
	if err != nil {
		t.Fatal(err)
	}
	repo, tag, _ := strings.Cut(p.name, ":")
	r.keep(t, repo, config)
	r.keep(t, repo, packed.Bytes())
	r.send(t, http.MethodPut, "http://"+r.at+"/v2/"+repo+"/manifests/"+tag, manifest)
	return digestOf(manifest)
}
