package dialect_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/spec"
)

// official reads a normal form as docker compose does, with all of its checks,
// and compares what every program that reads Compose looks at.
func official(t *testing.T, p spec.Project, text []byte, given map[string]string) {
	t.Helper()
	details := types.ConfigDetails{WorkingDir: t.TempDir(), Environment: given, ConfigFiles: []types.ConfigFile{{Filename: "compose.yml", Content: text}}}
	read, err := loader.LoadWithContext(t.Context(), details)
	if err != nil {
		t.Errorf("docker compose refuses what was written: %v\n%s", err, text)
		return
	}
	if read.Name != p.Name || len(read.Services)+len(read.DisabledServices) != len(p.Services) {
		t.Errorf("docker compose sees %s with %d services, not %s with %d\n%s", read.Name, len(read.Services), p.Name, len(p.Services), text)
	}
	for _, s := range p.Services {
		its, err := read.GetService(s.Name)
		if err != nil {
			t.Errorf("docker compose sees no service %s: %v\n%s", s.Name, err, text)
			continue
		}
		variables := map[string]string{}
		for name, value := range its.Environment {
			if value == nil {
				t.Errorf("%s: docker compose takes %s from the caller", s.Name, name)
				continue
			}
			variables[name] = *value
		}
		if its.Image != s.Image || !maps.Equal(variables, s.Environment) || !slices.Equal(its.Command, written(s.Command)) || !slices.Equal(its.Entrypoint, written(s.Entrypoint)) ||
			its.GetScale() != s.Replicas || len(its.Ports) != len(s.Ports) || its.User != s.User || its.ReadOnly != s.ReadOnly {
			t.Errorf("%s: docker compose reads it otherwise: %+v\n%s", s.Name, its, text)
		}
	}
}

// written is what Compose writes for words: [] takes the image's away.
func written(words []string) []string {
	if len(words) == 1 && words[0] == "" {
		return nil
	}
	return words
}
