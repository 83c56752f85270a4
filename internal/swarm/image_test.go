package swarm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/image"

	"havre/internal/lab"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/swarm"
)

func TestNamesOfImagesBelongToTheirEnvironment(t *testing.T) {
	for name, want := range map[string]string{
		"debian":                "havre.invalid/prod/debian:latest",
		"debian:bookworm":       "havre.invalid/prod/debian:bookworm",
		"team/mail":             "havre.invalid/prod/team/mail:latest",
		"localhost:5000/mail:1": "havre.invalid/prod/localhost__5000/mail:1",
		"Debian":                "", "": "", "../x": "", "a:b:c": "",
		"x@sha256:" + strings.Repeat("0", 64):                  "havre.invalid/prod/x:sha256-" + strings.Repeat("0", 64),
		"localhost:5000/x:1@sha256:" + strings.Repeat("0", 64): "havre.invalid/prod/localhost__5000/x:sha256-" + strings.Repeat("0", 64),
		"x:sha256-" + strings.Repeat("0", 64):                  "", // stands for a digest
	} {
		got, err := swarm.EngineName("prod", name)
		if got != want || (want == "") != (problem.KindOf(err) == problem.Invalid) {
			t.Errorf("%q is %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := swarm.EngineName("../prod", "x"); problem.KindOf(err) != problem.Invalid {
		t.Errorf("error = %v", err)
	}
}

func TestWhatAnImageSaysOfItself(t *testing.T) {
	var i image.InspectResponse
	if err := json.Unmarshal([]byte(`{"Id":"sha256:1","Size":7,"Os":"linux","Architecture":"amd64","Created":"2026-01-02T03:04:05.6Z","Config":{
		"User":"33","ExposedPorts":{"80/tcp":{},"53/udp":{},"25/tcp":{}},"Volumes":{"/b":{},"/a":{}},"Labels":{"a":"b"},
		"Healthcheck":{"Test":["CMD","/x"]}}}`), &i); err != nil {
		t.Fatal(err)
	}
	got := swarm.ImageOf(i)
	if got.ID != "sha256:1" || got.User != "33" || got.Size != 7 || got.Platform != "linux/amd64" || !got.Health || got.Labels["a"] != "b" ||
		!slices.Equal(got.Ports, []uint16{25, 80}) || !slices.Equal(got.Volumes, []string{"/a", "/b"}) || got.Created.Second() != 5 {
		t.Errorf("the image is %+v", got)
	}
	i.Config.Healthcheck.Test = []string{"NONE"}
	if swarm.ImageOf(i).Health {
		t.Error("NONE is taken for a check")
	}
	i.Config = nil
	if got := swarm.ImageOf(i); got.ID != "sha256:1" {
		t.Errorf("without a configuration it is %+v", got)
	}
}

func TestImagesAreLoadedListedAndRemoved(t *testing.T) {
	w := open(t)
	file := filepath.Join(t.TempDir(), "image.tar")
	w.Docker(t, "save", "--output", file, "havre.invalid/prod/app:latest")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, archive := range map[string]io.Reader{"load/plain:1": bytes.NewReader(text), "load/packed": &packed} {
		got, err := w.swarm.LoadImage(t.Context(), "prod", name, archive)
		if err != nil || got.ID != w.image {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	all, err := w.swarm.Images(t.Context(), "prod")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
		if i.ID == w.image && (i.Size == 0 || i.Created.IsZero()) {
			t.Errorf("listed is %+v", i)
		}
	}
	for _, want := range []string{"app:latest", "load/packed:latest", "load/plain:1"} {
		if !slices.Contains(names, want) {
			t.Errorf("there are %v, not %s", names, want)
		}
	}
	if other, err := w.swarm.Images(t.Context(), "qualif"); err != nil || len(other) != 0 {
		t.Errorf("another environment has %v, %v", other, err)
	}
	for _, name := range []string{"load/plain:1", "load/packed", "load/packed"} {
		if err := w.swarm.RemoveImage(t.Context(), "prod", name); err != nil {
			t.Errorf("remove %s: %v", name, err)
		}
	}
	if _, err := w.swarm.Image(t.Context(), "prod", "app"); err != nil {
		t.Errorf("the last name: %v", err)
	}
	if got, err := w.swarm.Image(t.Context(), "prod", w.image); err != nil || got.ID != w.image {
		t.Errorf("by its id: %+v, %v", got, err)
	}
}

// The engine takes a container away some time after it has ended.
func TestImageOfARemovedServiceCanBeRemovedAtOnce(t *testing.T) {
	w := open(t)
	d := w.project(t, "leaving2", "10.87.48.0/24")
	for n := range 4 {
		name := fmt.Sprintf("leaving:%d", n)
		d.Image, d.Rollout = lab.ScratchImage(t, w.World, "havre.invalid/prod/"+name, lab.File{Path: "n", Text: name}), n+1
		w.start(t, d)
		o := w.until(t, d, "a container", func(o service.Observed) bool { return runs(o) == 1 })
		if err := w.swarm.RemoveImage(t.Context(), "prod", name); problem.KindOf(err) != problem.Conflict {
			t.Errorf("while it runs: %v", err)
		}
		if err := w.swarm.RemoveService(t.Context(), o.SwarmID); err != nil {
			t.Fatal(err)
		}
		lab.Eventually(t, "its end", func(ctx context.Context) error {
			if o, err := w.observe(ctx, d); err == nil {
				return fmt.Errorf("there is %+v", o)
			}
			return nil
		})
		if err := w.swarm.RemoveImage(t.Context(), "prod", name); err != nil {
			t.Error(err)
		}
	}
}

func TestMissingImageComesWithARemedy(t *testing.T) {
	w := open(t)
	_, err := w.swarm.Image(t.Context(), "prod", "nothing:7")
	if p := problem.Of(err); p.Kind != problem.NotFound || !strings.Contains(p.Remedy, "havre image bootstrap nothing:7") {
		t.Errorf("problem is %+v", p)
	}
}

func TestWhatIsNoImageIsNotLoaded(t *testing.T) {
	w := open(t)
	for name, text := range map[string]string{"empty": "", "text": strings.Repeat("hello", 1000), "xz": "\xfd7zXZ\x00"} {
		if _, err := w.swarm.LoadImage(t.Context(), "prod", "no/image", strings.NewReader(text)); err == nil {
			t.Errorf("%s was loaded", name)
		}
	}
}

// buildContext packs files given as name, text, name, text.
func buildContext(t *testing.T, files ...string) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func TestBuildsStartFromTheEnvironmentsImages(t *testing.T) {
	w := open(t)
	var said []string
	r := swarm.BuildRequest{Environment: "prod", Name: "built/well:2", Dockerfile: "sub/Recipe", Args: map[string]string{"BASE": "app"}, NoCache: true}
	archive := buildContext(t, "hello.txt", "hello\n", "sub/Recipe",
		"ARG BASE=nothing\nFROM $BASE\nCOPY hello.txt /hello.txt\nRUN [\"/app\", \"cat\", \"/hello.txt\"]\nEXPOSE 99\n")
	err := w.swarm.BuildImage(t.Context(), r, archive, func(line string) { said = append(said, line) })
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(said, "hello") || !slices.ContainsFunc(said, func(l string) bool { return strings.HasPrefix(l, "Step 1/") }) {
		t.Errorf("it said %q", said)
	}
	got, err := w.swarm.Image(t.Context(), "prod", "built/well:2")
	if err != nil || !slices.Equal(got.Ports, []uint16{99}) {
		t.Errorf("the image is %+v, %v", got, err)
	}
}

func TestFailedBuildSaysWhereAndShowsTheLastLines(t *testing.T) {
	w := open(t)
	build := func(dockerfile string) *problem.Problem {
		r := swarm.BuildRequest{Environment: "prod", Name: "built/badly"}
		return problem.Of(w.swarm.BuildImage(t.Context(), r, buildContext(t, "Dockerfile", dockerfile), func(string) {}))
	}
	p := build("FROM app\nRUN [\"/app\", \"nonsense\"]\n")
	if p.Kind != problem.Failed || !strings.Contains(p.Says, "non-zero code: 1") || !strings.Contains(p.Says, "usage: app") {
		t.Errorf("a step that fails: %+v", p)
	}
	if p := build("FROM nothing:1\n"); p.Kind != problem.NotFound || !strings.Contains(p.Remedy, "bootstrap") {
		t.Errorf("without its base: %+v", p)
	}
	if p := build("FROM app\nADD http://127.0.0.1/x /x\n"); p.Kind != problem.Denied || p.Rule == "" {
		t.Errorf("a refusal: %+v", p)
	}
	if p := build("FRUM app\n"); p == nil {
		t.Error("nonsense was built")
	}
}
