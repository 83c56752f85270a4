package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"havre/internal/swarm"
)

// A command's streams pass the guard both ways, its code too, and what it
// says after its input has ended.
func TestCommandsStreamsPass(t *testing.T) {
	s := open(t)
	c := asRoot(t, s)
	var out, errs bytes.Buffer
	code, err := c.Exec(t.Context(), swarm.ExecRequest{
		Container: s.vars["BOX"], Cmd: []string{"/app", "cat"}, Stdin: strings.NewReader(strings.Repeat("hello\n", 50_000)), Stdout: &out, Stderr: &errs,
	})
	if err != nil || code != 0 || out.Len() != 6*50_000 {
		t.Errorf("code %d, %d bytes, %q, %v", code, out.Len(), errs.String(), err)
	}
	code, err = c.Exec(t.Context(), swarm.ExecRequest{Container: s.vars["BOX"], Cmd: []string{"/app", "exit", "7"}})
	if err != nil || code != 7 {
		t.Errorf("code %d, %v", code, err)
	}
	out.Reset()
	code, err = c.Exec(t.Context(), swarm.ExecRequest{Container: s.vars["BOX"], Cmd: []string{"/app", "tty"}, TTY: true, Stdout: &out})
	if err != nil || code != 0 || strings.Contains(out.String(), "none") {
		t.Errorf("with a terminal: %q, code %d, %v", out.String(), code, err)
	}
}

// Only Havre's containers are told of. Ours is one that starts afresh: the
// engine loses the network of one that is restarted, when nothing else is on it.
func TestEventsAreHavresOnly(t *testing.T) {
	s := open(t)
	c := asRoot(t, s)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var seen []string
	started := ""
	err := c.Events(ctx, func(change swarm.Change) {
		seen = append(seen, change.What+" "+change.Container)
		switch {
		case change.What == swarm.Listening:
			s.Docker(t, "restart", "-t", "0", s.vars["OTHERBOX"])
			s.runOnce(t, "hhhhhhh2", "data", `["print", "seen"]`)
		case change.What == "start":
			started = change.Container
			stop()
		}
	})
	if started != s.containerOf(t, "hhhhhhh2") {
		t.Errorf("%s started", started)
	}
	all := fmt.Sprint(seen)
	if strings.Contains(all, s.vars["OTHERBOX"]) || !strings.Contains(all, "start "+started) {
		t.Errorf("seen %s, %v", all, err)
	}
}
