package docker_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secretive = `
services:
  web:
    image: app:1
    secrets: [own, {source: shared, target: token, uid: "33", gid: "34", mode: 0440}]
secrets:
  own: {file: ./own.txt}
  shared: {external: true, name: e2e.shared}
`

// sees asks a container what is in a file.
func (h *havre) sees(t *testing.T, service, file, want string) {
	t.Helper()
	if got := h.must(t, "exec", service, "--", "/app", "cat", file); got != want {
		t.Errorf("%s of %s holds %q, want %q", file, service, got, want)
	}
}

func TestSecretsAreInMemoryAndChangeByASwitch(t *testing.T) {
	t.Parallel()
	h := up(t)
	value := func(n string) string { return "hunter-" + n + "-of-secrets" }
	h.write(t, "hush/own.txt", value("a")+"\n")
	h.write(t, "hush/shared", value("b"))
	file := h.write(t, "hush/compose.yml", secretive)
	if r := h.run(t, "apply", "-f", file, "-p", "hush", "--yes"); r.code != 4 || !strings.Contains(r.errs, "there is no secret e2e.shared") {
		t.Errorf("without the external one: exit code %d, %s", r.code, r.errs)
	}
	h.must(t, "secret", "create", "e2e.shared", "-f", h.work+"/hush/shared")
	h.apply(t, "hush", secretive)
	h.sees(t, "hush.web", "/run/secrets/own", value("a")+"\n")
	h.sees(t, "hush.web", "/run/secrets/token", value("b"))
	mounts := h.must(t, "exec", "hush.web", "--", "/app", "cat", "/proc/mounts")
	for _, line := range strings.Split(mounts, "\n") {
		if strings.Contains(line, "/run/secrets/") && !strings.HasPrefix(line, "tmpfs ") {
			t.Errorf("a secret is not in memory: %s", line)
		}
	}
	has(t, "the mounts", mounts, "/run/secrets/own", "/run/secrets/token")
	has(t, "a second plan", h.must(t, "plan", "-f", file, "-p", "hush"), "nothing to change")

	h.write(t, "hush/own.txt", value("c"))
	has(t, "plan", h.must(t, "plan", "-f", file, "-p", "hush"), "update", "secret own changed")
	h.must(t, "apply", "-f", file, "-p", "hush", "--yes")
	h.sees(t, "hush.web", "/run/secrets/own", value("c"))
	h.write(t, "hush/shared", value("d"))
	has(t, "renewal", h.must(t, "secret", "create", "e2e.shared", "-f", h.work+"/hush/shared", "--renew"), "secret shared changed", "web: healthy")
	h.sees(t, "hush.web", "/run/secrets/token", value("d"))

	h.must(t, "rollback", "hush.web", "r1")
	h.sees(t, "hush.web", "/run/secrets/own", value("a")+"\n")
	h.sees(t, "hush.web", "/run/secrets/token", value("b"))
	has(t, "diff", h.must(t, "diff", "hush.web", "r1", "r3"), "secrets.own: version ", "secrets.shared: version ")
	if got := fates(h.rollouts(t, "hush.web")); got != "r4 active, r3 retired, r2 retired, r1 retired" {
		t.Errorf("history: %s", got)
	}
	if r := h.run(t, "secret", "rm", "e2e.shared", "--yes"); r.code != 2 || !strings.Contains(r.errs, "is used by prod.hush.web") {
		t.Errorf("removed while used: exit code %d, %s", r.code, r.errs)
	}
	h.nothingShows(t, value("a"), value("b"), value("c"), value("d"))
}

// nothingShows looks for values in all that Havre keeps and says.
func (h *havre) nothingShows(t *testing.T, values ...string) {
	t.Helper()
	said := map[string]string{}
	for _, args := range [][]string{
		{"ps", "-o", "json"}, {"history", "hush.web", "-o", "json"}, {"diff", "hush.web", "r1", "r2", "--show-secrets", "-o", "json"}, {"why", "hush.web", "-o", "json"},
		{"secret", "ls", "-o", "json"}, {"guard", "log", "--data", h.data}, {"export", "hush"}, {"events", "-o", "json"}, {"status", "-o", "json"},
	} {
		said["havre "+strings.Join(args, " ")] = h.must(t, args...)
	}
	err := filepath.WalkDir(h.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(path, h.data+"/volume/") {
			return nil // files come and go
		}
		if text, err := os.ReadFile(path); err == nil {
			said[path] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if len(said[h.data+"/server/havre.db"]) == 0 || len(said[h.data+"/guard/audit.jsonl"]) == 0 {
		t.Error("the database or the audit was not read")
	}
	for what, text := range said {
		for _, v := range values {
			for _, form := range []string{v, base64.StdEncoding.EncodeToString([]byte(v)), hex.EncodeToString([]byte(v))} {
				if bytes.Contains([]byte(text), []byte(strings.TrimRight(form, "="))) {
					t.Errorf("%s shows a secret as %s", what, form)
				}
			}
		}
	}
}
