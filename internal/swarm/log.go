package swarm

import (
	"bytes"
	"context"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// longestLine is where a line of output is cut into two.
const longestLine = 64 << 10

// LogOptions narrow what Logs gives. The zero value is all there is.
type LogOptions struct {
	Since, Until time.Time
	Tail         int  // only so many last lines; 0 is all
	Follow       bool // and then what comes
}

// Line is one line of a container's output.
type Line struct {
	Time   time.Time
	Stream Stream
	Text   string // without its end; valid UTF-8; control characters are the container's own
}

// Logs gives what a container has printed, oldest first. A line of more than
// 64 KiB comes in pieces. Following ends with the container or with ctx.
//
// Errors, the last thing given: NotFound when there is no such container.
func (s *Swarm) Logs(ctx context.Context, container string, o LogOptions) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		r, tty, err := s.openLog(ctx, container, o)
		if err != nil {
			yield(Line{}, err)
			return
		}
		defer r.Close()
		var chunks iter.Seq2[chunk, error]
		if tty {
			chunks = rawChunks(r)
		} else {
			chunks = frames(r)
		}
		for line, err := range linesOf(chunks) {
			if err != nil {
				yield(Line{}, explain(err, "read the log of container %.12s", container))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
}

func (s *Swarm) openLog(ctx context.Context, container string, o LogOptions) (r io.ReadCloser, tty bool, err error) {
	c, err := s.api.ContainerInspect(ctx, container, client.ContainerInspectOptions{})
	if err != nil {
		return nil, false, explain(err, "read the log of container %.12s", container)
	}
	options := client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: o.Follow, Since: moment(o.Since), Until: moment(o.Until),
	}
	if o.Tail > 0 {
		options.Tail = strconv.Itoa(o.Tail)
	}
	r, err = s.api.ContainerLogs(ctx, container, options)
	return r, c.Container.Config != nil && c.Container.Config.Tty, explain(err, "read the log of container %.12s", container)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// linesOf joins what was printed to lines. Each frame begins with the time;
// one that ends without a line's end is continued by the stream's next.
func linesOf(chunks iter.Seq2[chunk, error]) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		open := map[Stream]*Line{Stdout: {Stream: Stdout}, Stderr: {Stream: Stderr}}
		for c, err := range chunks {
			if err != nil {
				yield(Line{}, err)
				return
			}
			l := open[c.stream]
			at, text := stamp(c.data)
			// All pieces of a line have the time of its first. Engines of version
			// 20.10 forget to end a line in pieces; then only the time tells.
			if l.Text != "" && !at.IsZero() && !at.Equal(l.Time) && !l.give(yield) {
				return
			}
			if !at.IsZero() {
				l.Time = at
			}
			for piece := range bytes.SplitAfterSeq(text, []byte("\n")) {
				if !l.add(piece, yield) {
					return
				}
			}
		}
		for _, stream := range []Stream{Stdout, Stderr} {
			if l := open[stream]; l.Text != "" && !yield(clean(*l), nil) {
				return
			}
		}
	}
}

// add appends a piece, and gives the line when that completes or fills it.
func (l *Line) add(piece []byte, yield func(Line, error) bool) bool {
	text, ended := bytes.CutSuffix(piece, []byte("\n"))
	if ended {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	for room := longestLine - len(l.Text); len(text) > room; room = longestLine {
		l.Text += string(text[:room])
		text = text[room:]
		if !l.give(yield) {
			return false
		}
	}
	l.Text += string(text)
	return !ended || l.give(yield)
}

func (l *Line) give(yield func(Line, error) bool) bool {
	done := clean(*l)
	l.Text = ""
	return yield(done, nil)
}

func clean(l Line) Line {
	l.Text = strings.ToValidUTF8(l.Text, "\uFFFD")
	return l
}

// stamp splits the time off that the engine puts before what was printed.
func stamp(data []byte) (time.Time, []byte) {
	word, rest, found := bytes.Cut(data, []byte(" "))
	if !found || len(word) > len(time.RFC3339Nano) {
		return time.Time{}, data
	}
	at, err := time.Parse(time.RFC3339Nano, string(word))
	if err != nil {
		return time.Time{}, data
	}
	return at, rest
}
