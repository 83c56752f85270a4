// Package script_test drives the real command line against a real server with
// a fake behind it. Each cli_*.txtar tells one command's story.
package script_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"havre/internal/cli"
	"havre/internal/secret"
	"havre/internal/server"
	"havre/internal/server/servertest"
	"havre/internal/spec"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"havre": func() { os.Exit(cli.Main(os.Args[1:])) },
	})
}

func TestCommands(t *testing.T) {
	files, err := filepath.Glob("cli_*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("found no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		Setup:               serve,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fake":  tellFake,
			"exits": exits,
			"pty":   talk,
		},
	})
}

// The token of the servers of the scripts.
const token = "the-token"

type fakeKey struct{}

// serve starts a server for one script.
func serve(env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "hv") // a script's own directory may be too long for a socket
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "s")
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fake := servertest.New()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- server.New(server.Settings{
			Socket: socket, Listeners: []net.Listener{tcp}, Token: secret.New(token), Backend: fake.Backend(),
		}).Run(ctx)
	}()
	env.Defer(func() {
		cancel()
		if err := <-done; err != nil {
			env.T().Log(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			env.T().Log(err)
		}
	})
	env.Values[fakeKey{}] = fake
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("SOCKET", socket)
	env.Setenv("TCP", "http://"+tcp.Addr().String())
	env.Setenv("TOKEN", token)
	env.Setenv("HAVRE_URL", "unix://"+socket)
	env.Setenv("HAVRE_TOKEN", token)
	env.Setenv("TERM", "xterm")
	env.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0") // else each command rests a second before it ends
	return nil
}

// tellFake is the command "fake": what is behind the server is told what to do.
func tellFake(ts *testscript.TestScript, neg bool, args []string) {
	f, ok := ts.Value(fakeKey{}).(*servertest.Fake)
	if neg || !ok || len(args) < 2 {
		ts.Fatalf("usage: fake VERB WORD…")
	}
	rest := args[1:]
	switch args[0] {
	case "fail": // SERVICE SAYS LINE…
		f.Fail(rest[0], rest[1], rest[2:]...)
	case "heal":
		f.Heal(rest[0])
	case "hold":
		f.Hold(rest[0])
	case "release":
		f.Release(rest[0])
	case "volume": // PROJECT NAME KIND SERVICE…
		f.AddVolume(rest[0], rest[1], rest[2], rest[3:]...)
	case "event": // KIND SERVICE SAYS
		f.Happen(rest[0], rest[1], rest[2])
	case "print": // SERVICE STREAM TEXT
		text, err := strconv.Unquote(`"` + rest[2] + `"`) // with what a script cannot hold as it is
		ts.Check(err)
		f.Print(rest[0], rest[1], text)
	case "refuse":
		f.Refuse(rest[0])
	case "sicken":
		f.Sicken(rest[0])
	case "image": // NAME
		f.Know(spec.DefaultEnvironment, rest[0])
	case "await": // SERVICE STATE
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		ts.Check(f.Await(ctx, rest[0], rest[1]))
	default:
		ts.Fatalf("unknown: fake %s", args[0])
	}
}

// exits is the command "exits CODE COMMAND…": like exec, for a certain code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}
