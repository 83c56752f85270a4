package portal

import (
	"context"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// Lines are kept for less than the second after which a portal hangs up, and
// no more of them than leave it places for others.
const (
	keptFor  = 500 * time.Millisecond
	mostKept = 32
)

// line is a connection to a portal. One question is asked at a time.
type line struct {
	*net.UnixConn
	raw     syscall.RawConn
	path    string
	name    []byte      // path, as the kernel wants it
	end     fs.FileInfo // the socket that it leads to
	used    time.Time
	several bool // the portal takes several questions at once
	text    [maxAnswer]byte
	control []byte
}

// open connects to the portal that listens on path.
func open(ctx context.Context, path string) (*line, error) {
	end, err := os.Stat(path) // first: a line that leads to a newer socket than it says is only used less
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	l := &line{UnixConn: c.(*net.UnixConn), path: path, name: append([]byte(path), 0), end: end, control: make([]byte, syscall.CmsgSpace(4*maxDescriptors))}
	if l.raw, err = l.SyscallConn(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// kept gives a line to the portal that listens on path now, or none.
func (d *Dialer) kept(path string) *line {
	l := d.take(path)
	if l == nil {
		return nil
	}
	if !l.stands() || time.Since(l.used) > keptFor {
		l.Close()
		return nil
	}
	return l
}

// take gives the line that was used last.
func (d *Dialer) take(path string) *line {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.idle[path]
	if len(lines) == 0 {
		return nil
	}
	l := lines[len(lines)-1]
	d.idle[path] = lines[:len(lines)-1]
	return l
}

// keep keeps a line for the next question, as long as there are not enough.
func (d *Dialer) keep(l *line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle[l.path]) >= mostKept {
		l.Close()
		return
	}
	if d.idle == nil {
		d.idle = map[string][]*line{}
	}
	l.used = time.Now()
	d.idle[l.path] = append(d.idle[l.path], l)
	if d.weeding == nil {
		d.weeding = time.AfterFunc(keptFor, func() { d.weed(time.Now().Add(-keptFor)) })
	}
}

// weed closes the lines that were not used since, and comes again while there
// are others.
func (d *Dialer) weed(since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, lines := range d.idle {
		d.idle[path] = slices.DeleteFunc(lines, func(l *line) bool {
			if l.used.After(since) {
				return false
			}
			l.Close()
			return true
		})
		if len(d.idle[path]) == 0 {
			delete(d.idle, path)
		}
	}
	switch {
	case d.weeding == nil:
	case len(d.idle) > 0:
		d.weeding.Reset(keptFor)
	default:
		d.weeding.Stop()
		d.weeding = nil
	}
}
