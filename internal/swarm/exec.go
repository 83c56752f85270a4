package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/moby/moby/client"

	"havre/internal/problem"
)

// A command whose output has ended gets this long to have an exit code.
const (
	codeWithin = 5 * time.Second
	codeLook   = 20 * time.Millisecond
)

// Size is of a terminal, in characters.
type Size struct{ Width, Height uint }

// ExecRequest is a command to run in a container.
type ExecRequest struct {
	Container string
	Cmd       []string
	Env       []string // NAME=value, besides the container's
	User      string   // "" is the container's
	Dir       string   // "" is the container's
	TTY       bool     // gives it a terminal; all output goes to Stdout then

	Stdin          io.Reader // nil is an empty one
	Stdout, Stderr io.Writer // nil throws away
	Resize         <-chan Size
}

// Exec runs a command in a running container until it ends, and returns its
// exit code. When ctx ends first, Exec returns and the command finds its
// input and output closed. A read of Stdin that is under way when the command
// ends is left alone; whoever gave Stdin closes it.
//
// Errors: NotFound without the container, Conflict when it does not run,
// Denied when it is not a service's.
func (s *Swarm) Exec(ctx context.Context, r ExecRequest) (exitCode int, err error) {
	deed := fmt.Sprintf("run a command in container %.12s", r.Container)
	made, err := s.api.ExecCreate(ctx, r.Container, client.ExecCreateOptions{
		Cmd: r.Cmd, Env: r.Env, User: r.User, WorkingDir: r.Dir, TTY: r.TTY,
		AttachStdin: r.Stdin != nil, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return 0, explain(err, "%s", deed)
	}
	conn, err := s.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{TTY: r.TTY})
	if err != nil {
		return 0, explain(err, "%s", deed)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, conn.Close) // ends the copying below
	defer stop()

	if r.Stdin != nil {
		go feed(conn.HijackedResponse, r.Stdin)
	}
	ended := make(chan struct{})
	resized := make(chan struct{})
	go func() {
		defer close(resized)
		s.resize(ctx, made.ID, r.Resize, ended)
	}()
	err = r.receive(conn.Reader)
	close(ended)
	<-resized
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%s: %w", deed, ctx.Err())
	}
	if err != nil {
		return 0, problem.New(problem.Failed, "%s: its output broke off", deed).Because(err)
	}
	return s.exitCode(ctx, made.ID, deed)
}

// feed passes input on, and its end: the command's own input ends then, its
// output goes on.
func feed(conn client.HijackedResponse, stdin io.Reader) {
	_, _ = io.Copy(conn.Conn, stdin) // a command need not read its input
	_ = conn.CloseWrite()
}

// receive copies output until the command has closed it.
func (r ExecRequest) receive(from io.Reader) error {
	out := map[Stream]io.Writer{Stdout: r.Stdout, Stderr: r.Stderr}
	for stream, w := range out {
		if w == nil {
			out[stream] = io.Discard
		}
	}
	if r.TTY {
		_, err := io.Copy(out[Stdout], from)
		return err
	}
	for c, err := range frames(from) {
		if err != nil {
			return err
		}
		if _, err := out[c.stream].Write(c.data); err != nil {
			return err
		}
	}
	return nil
}

// resize follows the person's terminal. A size that cannot be set is not
// worth an error: the command may have ended just now.
func (s *Swarm) resize(ctx context.Context, id string, sizes <-chan Size, ended <-chan struct{}) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			_, _ = s.api.ExecResize(ctx, id, client.ExecResizeOptions{Height: size.Height, Width: size.Width})
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *Swarm) exitCode(ctx context.Context, id, deed string) (int, error) {
	within, cancel := context.WithTimeout(ctx, codeWithin)
	defer cancel()
	for {
		r, err := s.api.ExecInspect(within, id, client.ExecInspectOptions{})
		if err == nil && !r.Running {
			return r.ExitCode, nil
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return 0, explain(err, "%s", deed)
		}
		select {
		case <-within.Done():
			if ctx.Err() != nil {
				return 0, fmt.Errorf("%s: %w", deed, ctx.Err())
			}
			return 0, problem.New(problem.Failed, "%s: it closed its output and runs on", deed)
		case <-time.After(codeLook):
		}
	}
}

// PutArchive unpacks a tar in a directory of a container, running or not;
// files belong to whom the archive says, by number. A directory is not replaced
// by a file, nor a file by a directory.
//
// Errors: NotFound when there is no such directory; Denied or Invalid with the
// guard's rule.
func (s *Swarm) PutArchive(ctx context.Context, containerID, path string, archive io.Reader) error {
	deed := "copy to " + path
	// The client names the archive text/plain, which the guard does not take.
	q := url.Values{"path": {path}, "noOverwriteDirNonDir": {"1"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://guard/v"+s.api.ClientVersion()+"/containers/"+containerID+"/archive?"+q.Encode(), archive)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-tar")
	resp, err := s.own.Do(r)
	if err != nil {
		return explainOwn(ctx, err, deed)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && resp.StatusCode >= 300 {
		return refused(deed, resp.StatusCode, text)
	}
	return err
}

// Stat is what stands at a path of a container.
type Stat = client.ContainerStatPathResult

// StatPath tells what stands at a path of a container; links are not followed.
//
// Errors: NotFound.
func (s *Swarm) StatPath(ctx context.Context, containerID, path string) (Stat, error) {
	r, err := s.api.ContainerStatPath(ctx, containerID, client.ContainerStatPathOptions{Path: path})
	if err = explain(err, "look at %s", path); problem.KindOf(err) == problem.NotFound { // the answer has no body, and the library no words
		err = problem.New(problem.NotFound, "there is no %s in the container", path)
	}
	return r, err
}

// GetArchive reads a file or directory of a container as a tar, whose entries
// begin with the last part of the path. The caller closes it.
//
// Errors: NotFound.
func (s *Swarm) GetArchive(ctx context.Context, containerID, path string) (io.ReadCloser, error) {
	r, err := s.api.CopyFromContainer(ctx, containerID, client.CopyFromContainerOptions{SourcePath: path})
	return r.Content, explain(err, "copy %s", path)
}
