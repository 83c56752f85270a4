package swarm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/swarm"
)

// running starts d and gives its container.
func (w world) running(t *testing.T, d service.Desired) string {
	t.Helper()
	w.start(t, d)
	o := w.until(t, d, "a running task", func(o service.Observed) bool { return runs(o) == 1 })
	return o.Tasks[0].Container
}

// exec runs a command to its end.
func (w world) exec(t *testing.T, r swarm.ExecRequest) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	r.Stdout, r.Stderr = &out, &errs
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code, err := w.swarm.Exec(ctx, r)
	if err != nil {
		t.Fatalf("%v: %v", r.Cmd, err)
	}
	return code, out.String(), errs.String()
}

func TestExec(t *testing.T) {
	w := open(t)
	d := w.project(t, "exec2222", "10.87.10.0/24")
	d.Variables = []string{"OF_SERVICE=1", "BRACES={{.Node.ID}}"}
	box := w.running(t, d)

	t.Run("gives the exit code and keeps the streams apart", func(t *testing.T) {
		code, out, errs := w.exec(t, swarm.ExecRequest{Container: box, Cmd: []string{"/app", "exit", "7"}})
		if code != 7 || out != "" || errs != "" {
			t.Errorf("%d, %q, %q", code, out, errs)
		}
		code, out, errs = w.exec(t, swarm.ExecRequest{Container: box, Cmd: []string{"/app", "nonsense"}})
		if code != 1 || out != "" || !strings.Contains(errs, "usage") {
			t.Errorf("%d, %q, %q", code, out, errs)
		}
	})
	t.Run("takes variables and user", func(t *testing.T) {
		code, out, _ := w.exec(t, swarm.ExecRequest{Container: box, Cmd: []string{"/app", "env", "OF_SERVICE", "MINE", "BRACES"}, Env: []string{"MINE={{2}}"}})
		if code != 0 || out != "1\n{{2}}\n{{.Node.ID}}\n" {
			t.Errorf("%d, %q", code, out)
		}
		if _, out, _ := w.exec(t, swarm.ExecRequest{Container: box, Cmd: []string{"/app", "id"}, User: "12:34"}); out != "12 34\n" {
			t.Errorf("it ran as %q", out)
		}
	})
	t.Run("passes input and its end on", func(t *testing.T) {
		text := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
		code, out, _ := w.exec(t, swarm.ExecRequest{Container: box, Cmd: []string{"/app", "cat"}, Stdin: strings.NewReader(text)})
		if code != 0 || out != text {
			t.Errorf("%d, %d bytes of %d", code, len(out), len(text))
		}
	})
	t.Run("does not wait for input that the command does not read", func(t *testing.T) {
		in, keep := io.Pipe()
		defer keep.Close()
		if code, _, _ := w.exec(t, swarm.ExecRequest{Container: box, Cmd: []string{"/app", "exit", "0"}, Stdin: in}); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("gives a terminal its size", func(t *testing.T) {
		// Only a command that waits has a terminal to resize.
		sizes := make(chan swarm.Size, 1)
		sizes <- swarm.Size{Width: 133, Height: 44}
		in, feed := io.Pipe()
		out := &watched{is: "133", then: func() { feed.Close() }}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		code, err := w.swarm.Exec(ctx, swarm.ExecRequest{
			Container: box, Cmd: []string{"/app", "tty"}, TTY: true, Stdin: in, Stdout: out, Resize: sizes,
		})
		if err != nil || code != 0 || out.String() == "none\r\n" {
			t.Errorf("%d, %v, %q", code, err, out.String())
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		started := &watched{is: "here", then: cancel}
		_, err := w.swarm.Exec(ctx, swarm.ExecRequest{
			Container: box, Cmd: []string{"/app", "cat"}, Stdin: io.MultiReader(strings.NewReader("here"), forever{ctx}), Stdout: started,
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v", err)
		}
	})
	t.Run("says when there is no such container", func(t *testing.T) {
		_, err := w.swarm.Exec(t.Context(), swarm.ExecRequest{Container: strings.Repeat("0", 64), Cmd: []string{"/app"}})
		if kind := problem.KindOf(err); kind != problem.NotFound {
			t.Errorf("%s: %v", kind, err)
		}
	})
	t.Run("says when there is no such program", func(t *testing.T) {
		var out bytes.Buffer
		code, err := w.swarm.Exec(t.Context(), swarm.ExecRequest{Container: box, Cmd: []string{"/nothing"}, Stdout: &out, Stderr: &out})
		if err == nil && !slices.Contains([]int{126, 127}, code) {
			t.Errorf("exit code %d, %q", code, out.String())
		}
	})
}

// watched keeps what is written, and does something once is was.
type watched struct {
	bytes.Buffer
	is   string
	then func()
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.is) {
		w.then()
	}
	return n, err
}

// forever has nothing to read until its context ends.
type forever struct{ ctx context.Context }

func (f forever) Read([]byte) (int, error) {
	<-f.ctx.Done()
	return 0, io.EOF
}
