package compose_test

import (
	"testing"

	"havre/internal/spec"
)

func TestEveryPullPolicyHasItsMeaning(t *testing.T) {
	for written, want := range map[string]spec.Pull{
		"":                                      "",
		"pull_policy: always":                   spec.PullAlways,
		"pull_policy: never":                    spec.PullNever,
		"pull_policy: missing":                  "",
		"pull_policy: daily":                    spec.PullAlways,
		"pull_policy: weekly":                   spec.PullAlways,
		"pull_policy: every_12h":                spec.PullAlways,
		"pull_policy: refresh":                  spec.PullAlways,
		"pull_policy: build":                    spec.PullNever,
		"build: .":                              spec.PullNever, // its name is the person's own
		"build: ., ":                            spec.PullNever,
		"pull_policy: if_not_present":           "",
		"build: ., pull_policy: always":         spec.PullAlways,
		"build: ., pull_policy: if_not_present": "",
	} {
		r := read(t, "services: {web: {image: 'a:1', "+written+"}}")
		if s, _ := r.Project.Service("web"); s.Pull != want || len(r.Mistakes) > 0 {
			t.Errorf("%q is %q, %v", written, s.Pull, r.Mistakes)
		}
	}
	for _, wrong := range []string{"sometimes", "Always", "every_", "every_banana", "12", "[always]"} {
		r := read(t, "services: {web: {image: 'a:1', pull_policy: "+wrong+"}}")
		if len(r.Mistakes) == 0 || r.Mistakes[0].Where.Line != 1 {
			t.Errorf("pull_policy: %s is not refused where it stands: %v", wrong, r.Mistakes)
		}
	}
}
