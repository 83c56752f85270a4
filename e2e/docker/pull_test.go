package docker_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// registry is as much of a registry as a pull needs, on a port of the world's.
type registry struct {
	at      string // host:port
	program string // what its images run

	mu     sync.Mutex        // guards what follows
	layers map[string][]byte // blobs by digest
	named  map[string][]byte // manifests by repository/reference
	asked  int               // for layers and configurations
}

const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

func newRegistry(t *testing.T, h *havre) *registry {
	t.Helper()
	l, err := h.world.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{at: l.Addr().String(), program: h.world.App(t), layers: map[string][]byte{}, named: map[string][]byte{}}
	server := &http.Server{Handler: r}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return r
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := strings.TrimPrefix(q.URL.Path, "/v2/")
	var text []byte
	kind := manifestType
	if before, digest, found := strings.Cut(path, "/blobs/"); found && before != "" {
		text, kind = r.layers[digest], "application/octet-stream"
		r.asked++
	} else if repo, ref, found := strings.Cut(path, "/manifests/"); found {
		text = r.named[repo+"/"+ref]
	} else if path == "" {
		text, kind = []byte("{}"), "application/json"
	}
	if strings.HasPrefix(path, "private/") {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return
	}
	if text == nil {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digestOf(text))
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.Write(text)
}

func digestOf(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }

// transfers is how many layers and configurations went out.
func (r *registry) transfers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

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
	r.mu.Lock()
	defer r.mu.Unlock()
	r.layers[digestOf(config)], r.layers[digestOf(packed.Bytes())] = config, packed.Bytes()
	r.named[repo+"/"+tag], r.named[repo+"/"+digestOf(manifest)] = manifest, manifest
	return digestOf(manifest)
}

// pulledApp is a Compose file of a service that runs an image of a registry.
func pulledApp(image, policy string) string {
	return "services: {web: {image: '" + image + "', pull_policy: " + policy + ", ports: ['8080'], x-havre: {domains: ['pulled.example.org']}}}"
}

func TestImageThatTheEnvironmentLacksComesFromItsRegistry(t *testing.T) {
	t.Parallel()
	h := up(t)
	r := newRegistry(t, h)
	r.publish(t, published{name: "team/app:1", says: "one"})
	image := r.at + "/team/app:1"

	// Somebody else on the engine has given this name to another image.
	other := strings.TrimSpace(h.world.Docker(t, "image", "inspect", "--format", "{{.Id}}", "havre.invalid/prod/app:1"))
	h.world.Docker(t, "tag", other, image)
	t.Cleanup(func() { _, _ = h.world.Ask(context.Background(), "image", "rm", image) })

	says := h.apply(t, "pulled", pulledApp(image, "missing"))
	if !strings.Contains(says, "pulling image "+image) || !strings.Contains(says, ": Pull complete") {
		t.Errorf("apply does not tell of the pull:\n%s", says)
	}
	version := func() string { return h.version(t, "pulled.example.org") }
	if got := version(); got != "one" {
		t.Errorf("it answers %q", got)
	}
	if now := strings.TrimSpace(h.world.Docker(t, "image", "inspect", "--format", "{{.Id}}", image)); now != other {
		t.Errorf("the pull moved a name of somebody else's to %s", now)
	}
	if left := h.world.Docker(t, "image", "ls", "--digests", "--format", "{{.Repository}}@{{.Digest}}"); strings.Contains(left, r.at+"/team/app@sha256") {
		t.Errorf("the registry's name is left in the engine:\n%s", left)
	}

	// What the environment has is its own, whatever the registry says now.
	before := r.transfers()
	r.publish(t, published{name: "team/app:1", says: "two"})
	if says := h.apply(t, "pulled", pulledApp(image, "missing")); strings.Contains(says, "pulling") || r.transfers() != before {
		t.Errorf("it was pulled again:\n%s", says)
	}
	h.apply(t, "pulled", pulledApp(image, "always"))
	if got := version(); got != "two" {
		t.Errorf("with pull_policy always it answers %q", got)
	}
	if got := h.must(t, "image", "ls"); !strings.Contains(got, image) {
		t.Errorf("the image is not among the environment's:\n%s", got)
	}
}

// version is what the lab's server answers at a host.
func (h *havre) version(t *testing.T, host string) string {
	t.Helper()
	web := &http.Client{Transport: &http.Transport{DialContext: h.world.Dial, DisableKeepAlives: true}}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:80/", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Host = host
	answer, err := web.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

func TestPullThatFailsLeavesTheOldOneServing(t *testing.T) {
	t.Parallel()
	h := up(t)
	r := newRegistry(t, h)
	r.publish(t, published{name: "team/app:1", says: "one"})
	r.publish(t, published{"team/liar:1", "liar", map[string]string{"havre.instance": "x"}})
	host := func(compose string) string {
		return strings.ReplaceAll(compose, "pulled.example.org", "stays.example.org")
	}
	h.apply(t, "stays", host(pulledApp(r.at+"/team/app:1", "missing")))

	for image, want := range map[string]string{
		r.at + "/team/app:none":             "remedy: look at the name and the tag",
		r.at + "/private/app:1":             "no credentials for registries",
		"127.0.0.1:1/team/app:1":            "cannot reach the registry",
		r.at + "/team/liar:1":               "rule image-labels",
		"nowhere.invalid/app:1":             "cannot reach the registry",
		r.at + "/team/app@" + digestOf(nil): "remedy: look at the name and the tag",
	} {
		file := h.write(t, "stays/compose.yml", host(pulledApp(image, "missing")))
		got := h.run(t, "apply", "-f", file, "-p", "stays", "--yes")
		if code := map[bool]int{true: 3, false: 1}[strings.Contains(image, "liar")]; got.code != code || !strings.Contains(got.errs, want) || !strings.Contains(got.errs, image) {
			t.Errorf("%s: exit code %d, and\n%s%s", image, got.code, got.out, got.errs)
		}
		if says := h.version(t, "stays.example.org"); says != "one" {
			t.Errorf("after %s it answers %q", image, says)
		}
	}
	file := h.write(t, "stays/compose.yml", host(pulledApp(r.at+"/team/app:2", "never")))
	if got := h.run(t, "apply", "-f", file, "-p", "stays", "--yes"); got.code != 4 || !strings.Contains(got.errs, "never to be pulled") {
		t.Errorf("never: exit code %d, and\n%s", got.code, got.errs)
	}
	if left := h.world.Docker(t, "image", "ls", "--digests"); strings.Contains(left, r.at+"/team/liar") || strings.Contains(left, "/team/liar") {
		t.Errorf("an image that was refused stays:\n%s", left)
	}
}

func TestImageIsPulledByHandAndByItsDigest(t *testing.T) {
	t.Parallel()
	h := up(t)
	r := newRegistry(t, h)
	digest := r.publish(t, published{name: "team/app:1", says: "first"})
	r.publish(t, published{name: "team/app:1", says: "second"})
	first := r.at + "/team/app@" + digest

	says := h.must(t, "image", "pull", first)
	if !strings.Contains(says, ": Pull complete") || !strings.Contains(says, first+" in prod is ") {
		t.Errorf("pull says\n%s", says)
	}
	h.must(t, "image", "pull", first) // again is no harm
	if got := h.must(t, "image", "ls", "-o", "name"); !strings.Contains(got, first) {
		t.Errorf("the image is listed as\n%s", got)
	}
	h.apply(t, "fixed", strings.ReplaceAll(pulledApp(first, "missing"), "pulled.example.org", "fixed.example.org"))
	if got := h.version(t, "fixed.example.org"); got != "first" {
		t.Errorf("it answers %q", got)
	}
	h.must(t, "rm", "fixed/", "--yes")
	h.must(t, "image", "rm", first)
}
