// Package role is how Havre's parts become processes: the table of roles, one
// strict configuration and one wiring per role, and the supervisor that starts
// them, adopts those that still run, and starts again what died.
package role

import (
	"context"
	"golang.org/x/sys/unix"
	"log/slog"

	"havre/internal/ingress"
	"havre/internal/problem"
	"havre/internal/thrift"
)

// Role is a part of Havre that runs as a process of its own.
type Role struct {
	Name string
	Does string // one line
	As   string // the system user it runs as; "" is root
	Caps []uintptr
	Heir func(l Layout) string // the socket at which one that runs hands over to the next; nil: it is stopped first
	Run  func(ctx context.Context, l Layout) error
	New  func() Config // its configuration with the defaults

	slack int // by how many percent of what is in use the heap grows before it is collected; as GOGC
}

// Serve runs the role in this process, until ctx ends.
func (r Role) Serve(ctx context.Context, l Layout) error {
	go thrift.Keep(ctx, r.slack)
	return r.Run(ctx, l)
}

// sparing is the slack of processes that mostly wait: what they save in
// collections is not worth the memory.
const sparing = 25

const capNetBindService = 10 // linux/capability.h

// Roles is all of them, in the order in which a machine starts them.
var Roles = []Role{
	{Name: "guard", Does: "let Havre reach Docker, within bounds; the only one with the Docker socket", Run: runGuard, New: func() Config { return defaultGuard() }, slack: sparing},
	{Name: "server", Does: "API, database, and the loop that keeps what was asked", As: ServerUser, Run: runServer, New: func() Config { return defaultServer() }, slack: 60},
	{Name: "ingress", Does: "bring traffic to services", As: IngressUser, Caps: []uintptr{capNetBindService}, Heir: func(l Layout) string { return ingress.HeirSocket(l.IngressSocket()) }, Run: runIngress, New: func() Config { return defaultIngress() }, slack: 100},
}

// Find gives the role of a name.
// Errors: NotFound.
func Find(name string) (Role, error) {
	for _, r := range Roles {
		if r.Name == name {
			return r, nil
		}
	}
	return Role{}, problem.New(problem.NotFound, "no role is named %q", name).With("use guard, server or ingress")
}

// form is how a role writes its log: text, which is also "", or json.
type form string

func (f form) check(wrong *problem.List) {
	if f != "" && f != "text" && f != "json" {
		*wrong = append(*wrong, problem.New(problem.Invalid, "log: %q is no form of a log", string(f)).With("write text or json"))
	}
}

// printed is standard error. A line that nobody takes is dropped: a supervisor
// that is gone holds up nobody.
type printed struct{}

func (printed) Write(line []byte) (int, error) { return unix.Write(2, line) }

// logger writes lines to standard error, which the supervisor keeps.
func logger(role string, f form) *slog.Logger {
	if f == "json" {
		return slog.New(slog.NewJSONHandler(printed{}, nil)).With("role", role)
	}
	return slog.New(slog.NewTextHandler(printed{}, nil)).With("role", role)
}
