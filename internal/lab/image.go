package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Docker runs the docker command against the world's engine and returns what
// it printed, without the space around it. It fails the test when docker fails.
func (w *World) Docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := w.Ask(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Ask is Docker for a question that may fail.
func (w *World) Ask(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"--host", "unix://" + w.Socket}, args...)...)
	// The person's own context and log-ins are none of the test's business; the
	// newer builder needs a plugin that is not everywhere.
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+filepath.Join(w.Dir, "docker"), "DOCKER_CONTEXT=", "DOCKER_BUILDKIT=0")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// App returns the path of the program of lab/app, built once per world.
func (w *World) App(t testing.TB) string {
	t.Helper()
	path, err := w.app()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *World) buildApp() (string, error) {
	path := filepath.Join(w.Dir, "app")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "havre/internal/lab/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the app: %w: %s", err, out)
	}
	return path, nil
}

// File is a file of an image.
type File struct {
	Path string
	Text string
	Mode os.FileMode // 0: 0644
	Link string      // where it leads, of a link
}

// ScratchImage makes an image that holds lab/app as /app, its entry point, and
// the files. A file whose path is Dockerfile is not copied: its lines are added
// to those of the image. It returns the image's id.
func ScratchImage(t testing.TB, w *World, name string, files ...File) string {
	t.Helper()
	dir, err := os.MkdirTemp(w.Dir, "image-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := fill(dir, w.App(t), files); err != nil {
		t.Fatalf("make image %s: %v", name, err)
	}
	w.Docker(t, "build", "--quiet", "--tag", name, dir)
	return w.Docker(t, "image", "inspect", "--format", "{{.Id}}", name)
}

// fill writes the build context.
func fill(dir, app string, files []File) error {
	if err := os.MkdirAll(filepath.Join(dir, "root"), 0o755); err != nil {
		return err
	}
	if err := os.Link(app, filepath.Join(dir, "root", "app")); err != nil {
		return err
	}
	lines := "FROM scratch\nCOPY root /\nENTRYPOINT [\"/app\"]\n"
	for _, f := range files {
		if f.Path == "Dockerfile" {
			lines += f.Text + "\n"
			continue
		}
		path := filepath.Join(dir, "root", f.Path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if f.Link != "" {
			if err := os.Symlink(f.Link, path); err != nil {
				return err
			}
			continue
		}
		if f.Mode == 0 {
			f.Mode = 0o644
		}
		if err := os.WriteFile(path, []byte(f.Text), f.Mode); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(lines), 0o644)
}
