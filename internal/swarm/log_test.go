package swarm_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

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
	got, err := lines(t, frame(1, t1+"a b")+frame(2, t1+"other\n")+frame(1, t2+" c\n")+frame(1, t2+"open"), false)
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
