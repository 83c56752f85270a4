package role

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/spec"
)

// hindrance is what would keep the server from starting and can be known before
// anything is started: somebody else has the address of the API.
func (l Layout) hindrance() error {
	if l.running("server") != 0 {
		return nil // it has it
	}
	c, err := Load(l, "server", defaultServer())
	if err != nil {
		return err
	}
	trial, err := net.Listen("tcp", c.Listen)
	if err == nil {
		return trial.Close()
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return nil // the server says it better
	}
	at, err := netip.ParseAddrPort(c.Listen)
	if err != nil {
		return err
	}
	return problem.New(problem.Conflict, "%s, where Havre's API would be, is taken by %s", c.Listen, holderOf(project.Port{Protocol: spec.TCP, Number: at.Port()}, nil)).
		With("end that, or choose another address: havre up --detach --listen %s", netip.AddrPortFrom(at.Addr(), at.Port()+1))
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
