package role

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
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
