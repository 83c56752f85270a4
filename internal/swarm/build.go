package swarm

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"havre/internal/problem"
)

// longestDockerfile bounds what is read of a Dockerfile.
const longestDockerfile = 1 << 20

// lastWords is how many lines of a build that failed are told.
const lastWords = 15

// BuildRequest says what to build.
type BuildRequest struct {
	Environment string
	Name        string            // of the image
	Dockerfile  string            // in the context; "" is Dockerfile
	Args        map[string]string // values of the Dockerfile's ARGs
	Target      string            // stage; "" is the last
	NoCache     bool
}

func (r BuildRequest) dockerfile() string {
	if r.Dockerfile == "" {
		return "Dockerfile"
	}
	return path.Clean(r.Dockerfile)
}

// BuildImage makes an image from a context, a tar archive with a Dockerfile
// in it, with the engine's classic builder. Images that the Dockerfile names
// are those of the environment. progress gets the builder's lines.
//
// Errors: NotFound when a base image is missing; Failed with the last lines
// when a step does.
func (s *Swarm) BuildImage(ctx context.Context, r BuildRequest, archive io.Reader, progress func(line string)) error {
	at, err := engineName(r.Environment, r.Name)
	if err != nil {
		return err
	}
	args := map[string]*string{}
	for k, v := range r.Args {
		args[k] = &v
	}
	body := s.translateContext(ctx, r, archive)
	defer body.Close()
	built, err := s.api.ImageBuild(ctx, body, client.ImageBuildOptions{
		Tags: []string{at}, Dockerfile: r.dockerfile(), BuildArgs: args, Target: r.Target, NoCache: r.NoCache,
		Version: build.BuilderV1, Remove: true, ForceRemove: true,
	})
	var p *problem.Problem
	if errors.As(err, &p) { // from within the context
		return fmt.Errorf("build image %s: %w", r.Name, error(p))
	}
	if err != nil {
		return explain(err, "build image %s", r.Name)
	}
	defer built.Body.Close()
	var last []string
	err = readStream(built.Body, func(line string) {
		last = append(last, line)
		last = last[max(0, len(last)-lastWords):]
		progress(line)
	})
	if err != nil && ctx.Err() == nil {
		return problem.New(problem.Failed, "build image %s: %s; the last lines were:\n%s", r.Name, engineWords(err), strings.Join(last, "\n"))
	}
	return explain(err, "build image %s", r.Name)
}

// readStream reads the messages of a build or load and gives their lines.
// The error that a message carries is returned.
func readStream(from io.Reader, line func(string)) error {
	d := json.NewDecoder(from)
	pending := ""
	for {
		var m jsonstream.Message
		err := d.Decode(&m)
		if errors.Is(err, io.EOF) {
			if pending != "" {
				line(pending)
			}
			return nil
		}
		if err != nil {
			return err
		}
		if m.Error != nil {
			return m.Error
		}
		lines := strings.FieldsFunc(pending+m.Stream, func(c rune) bool { return c == '\n' || c == '\r' })
		pending = ""
		if n := len(lines); n > 0 && !strings.HasSuffix(m.Stream, "\n") && len(lines[n-1]) < longestLine {
			pending, lines = lines[n-1], lines[:n-1]
		}
		for _, l := range lines {
			line(l)
		}
	}
}

// translateContext passes a build's context on with the Dockerfile's images
// named as the engine knows them. The reader's error may hold a problem.
func (s *Swarm) translateContext(ctx context.Context, r BuildRequest, archive io.Reader) io.ReadCloser {
	reader, writer := io.Pipe()
	go func() { // ends when reader is closed or archive is read
		writer.CloseWithError(s.copyContext(ctx, r, archive, writer))
	}()
	return reader
}

func (s *Swarm) copyContext(ctx context.Context, r BuildRequest, archive io.Reader, to io.Writer) error {
	in, out := tar.NewReader(archive), tar.NewWriter(to)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return problem.New(problem.Invalid, "the build context is no tar archive").Because(err)
		}
		var body io.Reader = in
		if h.Typeflag == tar.TypeReg && path.Clean(h.Name) == r.dockerfile() {
			text, err := s.translateDockerfile(ctx, r, in)
			if err != nil {
				return err
			}
			h.Size, body = int64(len(text)), strings.NewReader(text)
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, body); err != nil {
			return err
		}
	}
}

// translateDockerfile also looks whether the images are there: the engine
// would go and look for them on the network, and say nothing of use.
func (s *Swarm) translateDockerfile(ctx context.Context, r BuildRequest, from io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(from, longestDockerfile+1))
	if err != nil {
		return "", err
	}
	if len(text) > longestDockerfile {
		return "", problem.New(problem.Invalid, "%s is longer than %d bytes", r.dockerfile(), longestDockerfile)
	}
	out, images, err := rename(string(text), r.Args, func(name string) (string, error) {
		return engineName(r.Environment, name)
	})
	if err != nil {
		return "", err
	}
	for _, name := range images {
		if _, err := s.Image(ctx, r.Environment, name); err != nil {
			return "", err
		}
	}
	return out, nil
}
