package docker_test

import (
	"strings"
	"testing"
)

// Somebody cleaned up behind Havre's back: the image of a service that runs has
// no name any more, and the guard lets nobody run it.
func TestServiceWhoseImageIsGoneStopsAndComesBackWithIt(t *testing.T) {
	t.Parallel()
	h := up(t)
	dir := t.TempDir()
	h.write(t, dir+"/Dockerfile", "FROM app:1\nENV VERSION=leaving\n")
	build := func() { h.must(t, "image", "build", "-t", "leaving:1", dir) }
	build()
	h.apply(t, "leaving", "services: {web: {image: leaving:1}}\n")
	words := strings.Fields(h.world.Docker(t, "image", "inspect", "--format", "{{.Id}}{{range .RepoTags}} {{.}}{{end}}", "havre.invalid/prod/leaving:1"))
	id, names := words[0], words[1:]
	h.world.Docker(t, append([]string{"image", "rm", "--force"}, names...)...)

	has(t, "stop", h.must(t, "stop", "leaving.web"), "stopped")
	if s := h.why(t, "leaving.web"); s.State != "stopped" {
		t.Errorf("it is %s: %s", s.State, s.Says)
	}
	if left := h.world.Docker(t, "ps", "--quiet", "--filter", "ancestor="+id); left != "" {
		t.Errorf("the engine still runs %s", left)
	}
	build()
	has(t, "start", h.must(t, "start", "leaving.web"), "healthy")
}
