package server_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"havre/internal/api"
	"havre/internal/client"
	"havre/internal/problem"
)

// running gives a world in which the service web runs.
func running(t *testing.T) (*world, *client.Client) {
	t.Helper()
	w := open(t, nil)
	c := w.caller(t)
	if err := c.Apply(t.Context(), shop("app:1"), func(api.Progress) {}); err != nil {
		t.Fatal(err)
	}
	return w, c
}

func web() api.Target { return api.Target{Name: "web"} }

func TestExecPassesCodeAndBothOutputs(t *testing.T) {
	_, c := running(t)
	var out, errs bytes.Buffer
	code, err := c.Exec(t.Context(), web(), api.ExecStart{
		Command: []string{"sh", "-c", "echo out $A; echo err >&2; exit 42"}, Env: []string{"A=1"},
	}, api.ExecStreams{Out: &out, Err: &errs})
	if err != nil || code != 42 || out.String() != "out 1\n" || errs.String() != "err\n" {
		t.Errorf("code %d, %v, %q, %q", code, err, out.String(), errs.String())
	}
}

func TestExecPassesInputToItsEnd(t *testing.T) {
	_, c := running(t)
	want := strings.Repeat("0123456789abcde\n", 1<<16) // 1 MiB
	var out bytes.Buffer
	code, err := c.Exec(t.Context(), web(), api.ExecStart{Command: []string{"cat"}, Stdin: true},
		api.ExecStreams{In: strings.NewReader(want), Out: &out, Err: io.Discard})
	if err != nil || code != 0 || out.String() != want {
		t.Errorf("code %d, %v, %d bytes", code, err, out.Len())
	}
}

func TestExecEndsThoughItsInputDoesNot(t *testing.T) {
	_, c := running(t)
	never, feed := io.Pipe()
	defer feed.Close()
	code, err := c.Exec(t.Context(), web(), api.ExecStart{Command: []string{"false"}, Stdin: true},
		api.ExecStreams{In: never, Out: io.Discard, Err: io.Discard})
	if err != nil || code != 1 {
		t.Errorf("code %d, %v", code, err)
	}
}

// flood never ends.
type flood struct{}

func (flood) Read(b []byte) (int, error) { return len(b), nil }

func TestExecEndsThoughNobodyReadsItsInput(t *testing.T) {
	_, c := running(t)
	code, err := c.Exec(t.Context(), web(), api.ExecStart{Command: []string{"sh", "-c", "exec <&-; exit 3"}, Stdin: true},
		api.ExecStreams{In: flood{}, Out: io.Discard, Err: io.Discard})
	if err != nil || code != 3 {
		t.Errorf("code %d, %v", code, err)
	}
}

func TestExecEndsWhenItsCallerGoes(t *testing.T) {
	w, c := running(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Exec(ctx, web(), api.ExecStart{Command: []string{"sh", "-c", "echo on; exec cat"}, Stdin: true},
		api.ExecStreams{In: blocked{ctx}, Out: writer(func() { cancel() }), Err: io.Discard})
	if err == nil {
		t.Error("it ended well")
	}
	w.stop() // waits for the command
	if strings.Contains(w.log.String(), "internal error") {
		t.Errorf("a caller who goes is no mistake:\n%s", w.log)
	}
}

type blocked struct{ ctx context.Context }

func (b blocked) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, io.ErrClosedPipe }

type writer func()

func (w writer) Write(b []byte) (int, error) { w(); return len(b), nil }

func TestExecTellsSizes(t *testing.T) {
	_, c := running(t)
	sizes := make(chan api.Size, 1)
	in, feed := io.Pipe()
	out, told := io.Pipe()
	done := make(chan int, 1)
	go func() {
		code, err := c.Exec(context.Background(), web(), api.ExecStart{Command: []string{"size"}, TTY: true, Stdin: true, Size: api.Size{Rows: 24, Cols: 80}},
			api.ExecStreams{In: in, Out: told, Err: io.Discard, Resize: sizes})
		if err != nil {
			t.Error(err)
		}
		done <- code
	}()
	expect(t, out, "tty=true 24x80\r\n")
	sizes <- api.Size{Rows: 50, Cols: 132}
	expect(t, out, "tty=true 50x132\r\n")
	if _, err := feed.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != 7 {
		t.Errorf("code %d", code)
	}
}

func expect(t *testing.T, from io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(from, b); err != nil || string(b) != want {
		t.Fatalf("got %q, %v; want %q", b, err, want)
	}
}

func TestExecSaysWhyItCannot(t *testing.T) {
	_, c := running(t)
	for name, kind := range map[string]problem.Kind{"nobody": problem.NotFound, "web": problem.Failed} {
		code, err := c.Exec(t.Context(), api.Target{Name: name}, api.ExecStart{Command: []string{"/no/such/program"}}, api.ExecStreams{Out: io.Discard, Err: io.Discard})
		if p := problem.Of(err); p == nil || p.Kind != kind || p.Remedy == "" || code != 125 {
			t.Errorf("%s: code %d, %+v", name, code, p)
		}
	}
	_, err := c.Exec(t.Context(), web(), api.ExecStart{}, api.ExecStreams{Out: io.Discard, Err: io.Discard})
	if problem.KindOf(err) != problem.Invalid {
		t.Errorf("no command: %v", err)
	}
}
