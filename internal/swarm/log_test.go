package swarm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/swarm"
)

const (
	t1 = "2026-01-02T03:04:05.000000001Z "
	t2 = "2026-01-02T03:04:06.5Z "
)

// frame packs text as the engine does.
func frame(stream byte, text string) string {
	header := make([]byte, 8)
	header[0] = stream
	binary.BigEndian.PutUint32(header[4:], uint32(len(text)))
	return string(header) + text
}

func lines(t *testing.T, packed string, tty bool) ([]swarm.Line, error) {
	t.Helper()
	var all []swarm.Line
	for l, err := range swarm.Lines(strings.NewReader(packed), tty) {
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
	return all, nil
}

func TestLogLinesKeepTimeAndStream(t *testing.T) {
	got, err := lines(t, frame(1, t1+"one\n")+frame(2, t2+"two\r\n")+frame(1, t2+"\n"), false)
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	first := time.Date(2026, 1, 2, 3, 4, 5, 1, time.UTC)
	if got[0] != (swarm.Line{Time: first, Stream: swarm.Stdout, Text: "one"}) {
		t.Errorf("first is %+v", got[0])
	}
	if got[1].Stream != swarm.Stderr || got[1].Text != "two" || got[1].Time.Second() != 6 {
		t.Errorf("second is %+v", got[1])
	}
	if got[2].Text != "" {
		t.Errorf("third is %+v", got[2])
	}
}

func TestLineInPiecesIsPutTogether(t *testing.T) {
	got, err := lines(t, frame(1, t1+"a b")+frame(2, t1+"other\n")+frame(1, t1+" c\n")+frame(1, t2+"open"), false)
	if err != nil || len(got) != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	if got[1].Text != "a b c" || got[1].Time.Second() != 5 {
		t.Errorf("the line is %+v", got[1])
	}
	if got[2].Text != "open" || got[2].Time.Second() != 6 {
		t.Errorf("the last is %+v", got[2])
	}
}

func TestLineWhoseEndTheEngineForgotEndsWithItsTime(t *testing.T) {
	got, err := lines(t, frame(1, t1+"long")+frame(1, t1+"er")+frame(1, t2+"next\n"), false)
	if err != nil || len(got) != 2 || got[0].Text != "longer" || got[1].Text != "next" || got[1].Time.Second() != 6 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestEndlessLineIsCut(t *testing.T) {
	got, err := lines(t, frame(1, t1+strings.Repeat("x", 200<<10)), false)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	total := 0
	for _, l := range got {
		total += len(l.Text)
	}
	if total != 200<<10 {
		t.Errorf("%d bytes arrived", total)
	}
}

func TestTerminalOutputIsRead(t *testing.T) {
	got, err := lines(t, t1+"one\r\n"+t2+"two\r\n", true)
	if err != nil || len(got) != 2 || got[0].Text != "one" || got[1].Text != "two" || got[1].Time.Second() != 6 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBrokenStreamIsAnError(t *testing.T) {
	for name, packed := range map[string]string{
		"half a header":  "\x01\x00\x00",
		"half a frame":   frame(1, "whole")[:10],
		"unknown stream": frame(9, "x"),
		"no header":      "hello, this is text",
		"engine's error": frame(3, "it is all wrong"),
	} {
		if got, err := lines(t, packed, false); err == nil {
			t.Errorf("%s: %v and no error", name, got)
		}
	}
}

func FuzzLogFrames(f *testing.F) {
	f.Add([]byte(frame(1, t1+"one\n")+frame(2, t2+"two")), false)
	f.Add([]byte(t1+"one\r\n"), true)
	f.Add([]byte(frame(3, "oops")), false)
	f.Fuzz(func(t *testing.T, packed []byte, tty bool) {
		total := 0
		for l, err := range swarm.Lines(bytes.NewReader(packed), tty) {
			if err != nil {
				break
			}
			if strings.Contains(l.Text, "\n") || !utf8.ValidString(l.Text) {
				t.Errorf("a line is %q", l.Text)
			}
			if len(l.Text) > 3*64<<10 { // replacement characters are three bytes long
				t.Errorf("a line has %d bytes", len(l.Text))
			}
			total += len(l.Text)
		}
		if total > 3*len(packed) {
			t.Errorf("%d bytes out of %d", total, len(packed))
		}
	})
}

func TestLogsOfAContainer(t *testing.T) {
	w := open(t)
	d := w.project(t, "logs2222", "10.87.11.0/24")
	long := strings.Repeat("x", 40000)
	d.Spec.Command = []string{"print", "one", "", long, "four"}
	d.Spec.Restart.Policy = "no"
	w.start(t, d)
	o := w.until(t, d, "its end", func(o service.Observed) bool { return len(o.Tasks) == 1 && o.Tasks[0].State == service.Complete })
	box := o.Tasks[0].Container

	read := func(o swarm.LogOptions) (texts []string) {
		t.Helper()
		for l, err := range w.swarm.Logs(t.Context(), box, o) {
			if err != nil {
				t.Fatal(err)
			}
			if l.Time.IsZero() || l.Stream != swarm.Stdout {
				t.Errorf("a line is %+v", l)
			}
			texts = append(texts, l.Text)
		}
		return texts
	}
	if got := read(swarm.LogOptions{}); !slices.Equal(got, []string{"one", "", long, "four"}) {
		t.Errorf("the log is %.200q", got)
	}
	if got := read(swarm.LogOptions{Tail: 1}); !slices.Equal(got, []string{"four"}) {
		t.Errorf("its last line is %.200q", got)
	}
	if got := read(swarm.LogOptions{Since: time.Now().Add(time.Hour)}); got != nil {
		t.Errorf("in an hour it printed %q", got)
	}
	if got := read(swarm.LogOptions{Until: time.Now().Add(-time.Hour)}); got != nil {
		t.Errorf("an hour ago it printed %q", got)
	}
	for l, err := range w.swarm.Logs(t.Context(), strings.Repeat("0", 64), swarm.LogOptions{}) {
		if problem.KindOf(err) != problem.NotFound {
			t.Errorf("of no container: %+v, %v", l, err)
		}
	}
}

func TestLogsAreFollowed(t *testing.T) {
	w := open(t)
	d := w.project(t, "follow22", "10.87.12.0/24")
	d.Variables = []string{"PRINT=again", "PRINT_EVERY=100ms", "EXIT_AFTER=4s"}
	d.Spec.Restart.Policy = "no"
	box := w.running(t, d)

	n := 0
	for l, err := range w.swarm.Logs(t.Context(), box, swarm.LogOptions{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if l.Text == "again" {
			n++
		}
	}
	if n < 20 {
		t.Errorf("until its end %d lines", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range w.swarm.Logs(ctx, box, swarm.LogOptions{Follow: true}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v", err)
		}
	}
}
