package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"havre/internal/dialect"
)

func TestBuildTakesItsContextFromARepository(t *testing.T) {
	origin := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=n", "-c", "user.email=n@example.org"}, args...)...)
		cmd.Dir = origin
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, said)
		}
	}
	commit := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(origin, "docker"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(origin, "docker", "Dockerfile"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		git("add", ".")
		git("commit", "--quiet", "-m", text)
	}
	git("init", "--quiet")
	commit("FROM one")
	git("tag", "v1")
	commit("FROM two")
	if err := os.Symlink("/etc", filepath.Join(origin, "out")); err != nil {
		t.Fatal(err)
	}
	git("add", ".")
	git("commit", "--quiet", "-m", "a link")
	at := func(ref, dir string) dialect.Build {
		b := dialect.Build{Dir: dir}
		b.Repository.URL, b.Repository.Ref = "file://"+origin, ref
		return b
	}
	for ref, want := range map[string]string{"v1": "FROM one", "": "FROM two"} {
		var was string
		err := inRepository(t.Context(), at(ref, "docker"), func(dir string) error {
			content, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
			if was = dir; string(content) != want {
				t.Errorf("%q holds %q, want %q", ref, content, want)
			}
			return err
		})
		if _, still := os.Stat(was); err != nil || still == nil {
			t.Errorf("%q: %v; the fetched files are left in %s", ref, err, was)
		}
	}
	for _, wrong := range []dialect.Build{at("none", "docker"), at("", "none"), at("", "out")} {
		if err := inRepository(t.Context(), wrong, func(dir string) error { t.Errorf("%s was taken", dir); return nil }); err == nil {
			t.Errorf("%s: nothing is wrong", wrong.Context())
		}
	}
}
