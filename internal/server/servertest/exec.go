package servertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"havre/internal/api"
	"havre/internal/problem"
)

// Exec runs the command on this machine instead of in a container. With a
// terminal there is only the command "size", which tells the terminal's size,
// each new one, and ends at the letter q or the end of input.
func (f *Fake) Exec(ctx context.Context, t api.Target, start api.ExecStart, s api.ExecStreams) (int, error) {
	f.mu.Lock()
	k, err := f.one(t)
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if k.state != "healthy" && k.state != "failing" {
		return 0, problem.New(problem.Conflict, "%s has no container that runs; it is %s", k.full(), k.state).With("havre why %s", k.full())
	}
	if start.Command[0] == "size" {
		return sizes(ctx, start, s)
	}
	cmd := exec.CommandContext(ctx, start.Command[0], start.Command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = start.Dir, s.Out, s.Err
	cmd.Env = append(cmd.Environ(), append(start.Env, fmt.Sprintf("EXEC_TTY=%v", start.TTY), "EXEC_USER="+start.User)...)
	if s.In == nil {
		return codeOf(cmd.Run())
	}
	// A pipe of our own: Wait must not wait for input that never ends.
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return codeOf(err)
	}
	go func() {
		_, _ = io.Copy(in, s.In) // the command may end before its input does
		_ = in.Close()           // likewise
	}()
	return codeOf(cmd.Wait())
}

func codeOf(err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, problem.New(problem.Failed, "run the command").Because(err).With("name a program that is in the image")
}

func sizes(ctx context.Context, start api.ExecStart, s api.ExecStreams) (int, error) {
	keys := make(chan byte)
	go func() {
		defer close(keys)
		b := make([]byte, 1)
		for {
			if _, err := io.ReadFull(s.In, b); err != nil {
				return
			}
			select {
			case keys <- b[0]:
			case <-ctx.Done():
				return
			}
		}
	}()
	size, changes := start.Size, s.Resize
	for told := (api.Size{Rows: 1 << 15}); ; {
		if size != told {
			if _, err := fmt.Fprintf(s.Out, "tty=%v %dx%d\r\n", start.TTY, size.Rows, size.Cols); err != nil {
				return 0, err
			}
			told = size
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case key, ok := <-keys:
			if !ok || key == 'q' {
				return 7, nil
			}
		case next, ok := <-changes:
			if !ok {
				changes = nil
			} else {
				size = next
			}
		}
	}
}
