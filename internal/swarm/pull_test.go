package swarm_test

import (
	"slices"
	"strings"
	"testing"

	"havre/internal/problem"
	"havre/internal/swarm"
)

// The engine has words only, so every sort of failure has its own of them here.
func TestPullThatFailsSaysWhatToDo(t *testing.T) {
	for says, want := range map[string]string{
		"manifest for x/app:9 not found: manifest unknown":                                    "look at the name and the tag",
		"Head \"https://x/v2/app/manifests/1\": no basic auth credentials":                    "havre image load",
		"pull access denied for app, repository does not exist or may require 'docker login'": "no credentials for registries",
		"dial tcp: lookup x on 10.0.0.1:53: no such host":                                     "cannot reach the registry",
		"dial tcp 127.0.0.1:1: connect: connection refused":                                   "cannot reach the registry",
		"write /var/lib/docker/tmp/GetImageBlob1: no space left on device":                    "make room",
		"no matching manifest for linux/amd64 in the manifest list entries":                   "other machines only",
		"http: server gave HTTP response to HTTPS client":                                     "insecure-registries",
		"x509: certificate signed by unknown authority":                                       "a certificate that this machine knows",
		"toomanyrequests: You have reached your pull rate limit":                              "wants you to wait",
		"something nobody has thought of":                                                     "havre image pull app:1",
	} {
		p := problem.Of(swarm.Unpulled("app:1", problem.New(problem.Invalid, "pull image app:1: the engine says: %s", says)))
		if p.Kind != problem.Failed || p.Says != "pull image app:1: "+says || !strings.Contains(p.Remedy, want) {
			t.Errorf("%s: %+v", says, p)
		}
	}
	rule := &problem.Problem{Kind: problem.Denied, Says: "no", Rule: "x"}
	if got := swarm.Unpulled("app:1", rule); got != error(rule) {
		t.Errorf("a refusal became %+v", got)
	}
}

func TestMessagesOfAPullAreToldOnceAndItsEndIsNotGuessed(t *testing.T) {
	const some = `{"status":"Pulling from app","id":"1"}{"id":"aa","status":"Downloading"}{"id":"aa","status":"Downloading"}{"id":"aa","status":"Pull complete"}{"status":"Digest: x"}`
	told := []string{"1: Pulling from app", "aa: Downloading", "aa: Pull complete", "Digest: x"}
	for text, want := range map[string]struct {
		says string
		ok   bool
	}{
		some + `{"status":"done"}`:           {"", true},
		some + `{"error":"no space left"}`:   {"no space left", true},
		some:                                 {},
		some + `{"id":"aa","status":"done"}`: {},
		some + `{"status":"done"`:            {},
	} {
		var got []string
		says, err := swarm.Pulled(strings.NewReader(text), func(line string) { got = append(got, line) })
		if says != want.says || (err == nil) != want.ok || !slices.Equal(got[:len(told)], told) {
			t.Errorf("%s: %q, %v, told %q", text, says, err, got)
		}
	}
}
