package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"havre/internal/dialect"
	"havre/internal/problem"
)

// inRepository does something with the context of a build: a directory of this
// machine, or of a repository that git fetches for as long.
func inRepository(ctx context.Context, b dialect.Build, do func(dir string) error) error {
	if b.Repository.URL == "" {
		return do(b.Dir)
	}
	top, err := os.MkdirTemp("", "havre-build-")
	if err != nil {
		return problem.Of(err)
	}
	defer os.RemoveAll(top)
	ref := b.Repository.Ref
	if ref == "" {
		ref = "HEAD"
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"fetch", "--quiet", "--depth=1", "--", b.Repository.URL, ref},
		{"checkout", "--quiet", "FETCH_HEAD"},
		{"submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"},
	} {
		git := exec.CommandContext(ctx, "git", args...)
		git.Dir = top
		if said, err := git.CombinedOutput(); err != nil {
			return problem.New(problem.Invalid, "git %s of %s: %s", args[0], b.Context(), firstLine(said, err)).
				With("see that git is installed and that git ls-remote %s shows what is asked for", b.Repository.URL)
		}
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(top, b.Dir))
	if root, e := filepath.EvalSymlinks(top); err != nil || e != nil || dir != root && !strings.HasPrefix(dir, root+"/") {
		return problem.New(problem.Invalid, "%s has no directory %s", b.Repository.URL, b.Dir).With("name one that is in the repository, behind the second colon")
	}
	return do(dir)
}

// firstLine is what git said first; else why it did not run.
func firstLine(said []byte, err error) string {
	if line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n"); line != "" {
		return line
	}
	return err.Error()
}
