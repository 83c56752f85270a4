package compose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/template"

	"havre/internal/dialect/compose"
	"havre/internal/dialect/source"
)

// The library's own interpolation is the measure of ours.
func TestInterpolationIsTheLibrarys(t *testing.T) {
	env := map[string]string{"SET": "value", "EMPTY": "", "_x9": "odd", "GIVEN": "1"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, s := range []string{
		"", "plain", "$SET", "${SET}", "a${SET}b", "$SET$SET", "${SET}${EMPTY}", "$$SET", "$$", "$_x9.", "${_x9}", "$SET-x",
		"${SET:-d}", "${EMPTY:-d}", "${EMPTY-d}", "${NONE:-d}", "${NONE-d}", "${NONE-}", "${NONE:-${SET}}", "${NONE:-a${EMPTY:-b}c}",
		"${SET:+a}", "${EMPTY:+a}", "${EMPTY+a}", "${NONE+a}", "${SET:?no}", "${SET?no}", "${EMPTY?no}", "${EMPTY:?no}", "${NONE?no}",
		"${NONE:?why ${SET}}", "${SET", "$", "a$", "${}", "${9}", "$9", "${SET!x}", "{$SET}", "${SET}}", "${NONE:-}}", "x ${SET:-a} y ${NONE:-b} z",
		"$SÉ", "${NONE:-a:b}", "${NONE:-?x}", "https://${SET:-h}:${NONE:-80}/$$p",
	} {
		want, wantErr := template.Substitute(s, lookup)
		got, gotErr := expand(t, s, env)
		if (wantErr != nil) != gotErr || wantErr == nil && got != want {
			t.Errorf("%q: got %q (failed: %v), the library says %q, %v", s, got, gotErr, want, wantErr)
		}
	}
}

// expand reads s as a variable's value in a file.
func expand(t *testing.T, s string, env map[string]string) (value string, failed bool) {
	t.Helper()
	file, err := json.Marshal(m{"services": m{"web": m{"image": "web", "labels": m{"a": s}}}})
	if err != nil {
		t.Fatal(err)
	}
	r := compose.Read(t.Context(), compose.Request{
		Texts: []source.Text{{Name: "c.yml", Content: file}}, Dir: t.TempDir(), Project: "x", Env: env,
	})
	if len(r.Mistakes) > 0 {
		if !strings.Contains(r.Mistakes.Error(), "cannot be filled in") {
			t.Errorf("%q: %v", s, r.Mistakes)
		}
		return "", true
	}
	return r.Project.Services[0].Labels["a"], false
}
