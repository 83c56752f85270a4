package swarm

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

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

// BuildImage makes an image from a context, a tar archive with a Dockerfile
// in it, with the engine's classic builder. Images that the Dockerfile names
// are those of the environment. progress gets the builder's lines.
//
// Errors: NotFound when a base image is missing; Denied with the guard's rule
// when the Dockerfile asks for what it must not; Failed with the last lines
// when a step fails.
func (s *Swarm) BuildImage(ctx context.Context, r BuildRequest, archive io.Reader, progress func(line string)) error {
	at, err := givenName(r.Environment, r.Name)
	if err != nil {
		return err
	}
	args := map[string]*string{}
	for k, v := range r.Args {
		args[k] = &v
	}
	built, err := s.api.ImageBuild(ctx, io.NopCloser(archive), client.ImageBuildOptions{
		Tags: []string{at}, Dockerfile: r.Dockerfile, BuildArgs: args, Target: r.Target, NoCache: r.NoCache,
		Version: build.BuilderV1, Remove: true, ForceRemove: true,
	})
	if err != nil {
		return advised(explain(err, "build image %s", r.Name))
	}
	defer built.Body.Close()
	var last []string
	err = readStream(built.Body, func(line string) {
		last = append(last, line)
		last = last[max(0, len(last)-lastWords):]
		progress(line)
	})
	if err != nil && ctx.Err() == nil {
		return problem.New(problem.Failed, "build image %s: %s; its last lines are:\n%s", r.Name, engineWords(err), strings.Join(last, "\n"))
	}
	return explain(err, "build image %s", r.Name)
}

// ways out of what the guard refuses in a Dockerfile.
var ways = map[dockercall.Rule]string{
	dockercall.BuildFrom:      "bring it here with: havre image pull NAME; see what there is with: havre image ls; make a base image with: havre image bootstrap debian:bookworm",
	dockercall.BuildSyntax:    "write it as Docker's classic builder reads it; lines like # syntax=… and # escape=… are left out",
	dockercall.BuildFlag:      "leave the flag out; what only BuildKit knows is not here",
	dockercall.BuildRemoteAdd: "fetch it into the directory before, or in a RUN step",
	dockercall.BuildOnBuild:   "write the instruction where it is needed",
}

// advised says what can be done about a build that the guard refused. A base
// image that is not there is no matter of rights.
func advised(err error) error {
	var p *problem.Problem
	if errors.As(err, &p) {
		p.Remedy = cmp.Or(ways[dockercall.Rule(p.Rule)], p.Remedy)
		if p.Rule == string(dockercall.BuildFrom) {
			p.Kind = problem.NotFound
		}
	}
	return err
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
