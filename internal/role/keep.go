package role

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"havre/internal/problem"
)

// How long keep waits before it starts a role again: at once after a long
// life, up to longestWait after a row of short ones.
const (
	longLife    = 30 * time.Second
	firstWait   = 200 * time.Millisecond
	longestWait = 10 * time.Second
)

// Supervise starts the roles, adopting those that run, and starts again what
// ends, later and later when it ends soon. When ctx is done it stops them, the
// last one first.
func Supervise(ctx context.Context, l Layout) error {
	log := logger("up", "")
	program, err := os.Executable()
	if err != nil {
		return err
	}
	ends, err := l.keepLogs()
	defer ends()
	if err != nil {
		return err
	}
	stopped := make([]chan struct{}, len(Roles))
	stops := make([]context.CancelFunc, len(Roles))
	for i, r := range Roles {
		var one context.Context
		one, stops[i] = context.WithCancel(context.WithoutCancel(ctx))
		stopped[i] = make(chan struct{})
		go func() {
			defer close(stopped[i])
			keep(one, l, r, program, log)
		}()
	}
	trim := time.NewTicker(time.Minute)
	defer trim.Stop()
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case <-trim.C:
			for _, r := range append([]Role{{Name: "up"}}, Roles...) {
				trimLog(l.Log(r.Name))
			}
		}
	}
	for i := len(Roles) - 1; i >= 0; i-- {
		stops[i]()
		<-stopped[i]
	}
	return nil
}

// keep has one role run until ctx is done, then stops it.
func keep(ctx context.Context, l Layout, r Role, program string, log *slog.Logger) {
	log = log.With("role", r.Name)
	wait := firstWait
	p := keepOn(l, r, program)
	if p != nil {
		log.Info("adopted", "pid", p.pid)
	}
	for {
		born := time.Now()
		if p == nil {
			var err error
			if p, err = spawn(l, r, program); err != nil {
				log.Error("cannot start", "problem", err, "again", wait)
			} else {
				log.Info("started", "pid", p.pid)
			}
		}
		if p != nil {
			select {
			case <-ctx.Done():
				p.stop(stopTime)
				log.Info("stopped", "pid", p.pid)
				return
			case <-p.done:
			}
			if time.Since(born) > longLife {
				wait = firstWait
			}
			log.Warn("ended", "pid", p.pid, "again", wait)
			p = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(wait*2, longestWait)
	}
}

// output is where a role prints. What has no rights has no log to take anything
// back from: it has a pipe, which the supervisor empties into the log.
func (l Layout) output(r Role) (*os.File, error) {
	if r.As != "" {
		return openPipe(l.LogPipe(r.Name))
	}
	return openLog(l.Log(r.Name))
}

func openLog(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// pipeSize is how much a pipe holds while no supervisor reads.
const pipeSize = 1 << 20

// openPipe opens both ends of a pipe with a name. So it never ends: what is in
// it waits for the next supervisor, and whoever prints is not ended by a
// supervisor's end.
func openPipe(file string) (*os.File, error) {
	if err := unix.Mkfifo(file, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, &fs.PathError{Op: "make the pipe", Path: file, Err: err}
	}
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: file, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		_ = unix.Close(fd) // nothing was written
		return nil, problem.New(problem.Denied, "%s is not a pipe", file).Because(err).With("remove it: rm %s", file)
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize) // a smaller one loses lines sooner
	return os.NewFile(uintptr(fd), file), nil
}

// keepLogs empties the roles' pipes into their logs until ends is called, which
// waits for what is in them.
func (l Layout) keepLogs() (ends func(), err error) {
	var all []func()
	ends = func() {
		for _, end := range all {
			end()
		}
	}
	for _, r := range Roles {
		if r.As == "" {
			continue
		}
		end, err := l.keepLog(r.Name)
		if err != nil {
			return ends, err
		}
		all = append(all, end)
	}
	return ends, nil
}

func (l Layout) keepLog(role string) (end func(), err error) {
	pipe, err := openPipe(l.LogPipe(role))
	if err != nil {
		return nil, err
	}
	log, err := openLog(l.Log(role))
	if err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	emptied := make(chan struct{})
	go func() {
		defer close(emptied)
		empty(pipe, log)
	}()
	return func() {
		_ = pipe.SetReadDeadline(time.Now()) // it is one that can be waited for
		<-emptied
		_, _ = pipe.Close(), log.Close() // all is written that was read
	}, nil
}

// empty copies a pipe to a log until its deadline, and then what is left in it.
// A full disk loses lines, and nothing else.
func empty(pipe, log *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := pipe.Read(buf)
		_, _ = log.Write(buf[:n])
		if err != nil {
			break
		}
	}
	for {
		n, err := unix.Read(int(pipe.Fd()), buf)
		if n <= 0 && err != unix.EINTR {
			return
		}
		_, _ = log.Write(buf[:max(n, 0)])
	}
}

// maxLog is how long a role's log grows before its older part goes to FILE.1.
const maxLog = 10 << 20

// trimLog copies and cuts, because the role that writes has the file open; it
// appends, so it goes on at the new end.
func trimLog(file string) {
	info, err := os.Stat(file)
	if err != nil || info.Size() < maxLog {
		return
	}
	from, err := os.Open(file)
	if err != nil {
		return
	}
	defer from.Close()
	to, err := os.OpenFile(file+".1", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err == nil {
		_ = os.Truncate(file, 0) // the next minute tries again
	}
}

// lastWords are what the roles that ended complained of last, for those who
// wait for them.
func (l Layout) lastWords() string {
	for _, r := range Roles {
		if l.running(r.Name) != 0 {
			continue
		}
		if said := complaint(l.Log(r.Name)); said != "" {
			return "; the " + r.Name + " last said: " + said
		}
	}
	return ""
}

// complaint is the last line of a log with which its program took its leave.
func complaint(file string) string {
	const enough = 8 << 10
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, end-enough), io.SeekStart) // else all of it is read
	}
	text, _ := io.ReadAll(io.LimitReader(f, enough)) // what was read will do
	last := ""
	for line := range strings.Lines(string(text)) {
		if said, is := strings.CutPrefix(line, "havre: "); is {
			last = strings.TrimSpace(said)
		}
	}
	return last
}
