package docker_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
)

// pulledApp is a Compose file of a service that runs an image of a registry.
func pulledApp(image, policy string) string {
	return "services: {web: {image: '" + image + "', pull_policy: " + policy + ", ports: ['8080'], x-havre: {domains: ['pulled.example.org']}}}"
}

func TestImageThatTheEnvironmentLacksComesFromItsRegistry(t *testing.T) {
	t.Parallel()
	h := up(t)
	r := newRegistry(t, h, "")
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
	r.publish(t, published{name: "team/app:1", says: "two"})
	for _, policy := range []string{"missing", "if_not_present", "never", "build"} {
		if says := h.apply(t, "pulled", pulledApp(image, policy)); strings.Contains(says, "pulling") || version() != "one" {
			t.Errorf("with pull_policy %s it was pulled again, and answers %q:\n%s", policy, version(), says)
		}
	}
	h.apply(t, "pulled", pulledApp(image, "always"))
	if got := version(); got != "two" {
		t.Errorf("with pull_policy always it answers %q", got)
	}
	if got := h.must(t, "image", "ls"); !strings.Contains(got, image) {
		t.Errorf("the image is not among the environment's:\n%s", got)
	}

	// Whoever has the image needs its registry no more, unless he wants it asked.
	r.end()
	changed := strings.Replace(pulledApp(image, "missing"), "ports:", "environment: {A: b}, ports:", 1)
	if says := h.apply(t, "pulled", changed); strings.Contains(says, "pulling") || version() != "two" {
		t.Errorf("without its registry it answers %q:\n%s", version(), says)
	}
	h.must(t, "rollback", "pulled.web", "1")
	if got := version(); got != "one" {
		t.Errorf("after going back without a registry it answers %q", got)
	}
	file := h.write(t, "pulled/compose.yml", pulledApp(image, "always"))
	if got := h.run(t, "apply", "-f", file, "-p", "pulled", "--yes"); got.code != 1 || !strings.Contains(got.errs, "cannot reach the registry") || version() != "one" {
		t.Errorf("always, without its registry: exit code %d, it answers %q, and\n%s", got.code, version(), got.errs)
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
	r := newRegistry(t, h, "")
	r.publish(t, published{name: "team/app:1", says: "one"})
	r.publish(t, published{"team/liar:1", "liar", map[string]string{"havre.instance": "x"}})
	r.publish(t, published{name: "team/app:2", says: "two"})
	private := newRegistry(t, h, "open sesame")
	private.publish(t, published{name: "team/app:1", says: "secret"})
	broken := r.narrow(t, h, 100_000) + "/team/app:2" // the manifest comes, and the layer begins to
	host := func(compose string) string {
		return strings.ReplaceAll(compose, "pulled.example.org", "stays.example.org")
	}
	h.apply(t, "stays", host(pulledApp(r.at+"/team/app:1", "missing")))

	for image, want := range map[string]string{
		r.at + "/team/app:none":             "remedy: look at the name and the tag",
		private.at + "/team/app:1":          "no credentials for registries",
		broken:                              "cannot reach the registry",
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
		if image == broken && !strings.Contains(got.out, ": Pulling fs layer") {
			t.Errorf("nothing of %s had come when its registry went:\n%s", image, got.out)
		}
		reason := strings.TrimSpace(got.errs[strings.Index(got.errs, "pull image"):])
		reason, _, _ = strings.Cut(reason, "\n")
		reason, _, _ = strings.Cut(reason, " [rule ")
		for _, verb := range []string{"history", "why"} {
			if kept := h.must(t, verb, "stays.web"); !strings.Contains(kept, reason) {
				t.Errorf("%s does not keep %q:\n%s", verb, reason, kept)
			}
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
	r := newRegistry(t, h, "")
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
