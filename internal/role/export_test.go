package role

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"havre/internal/alert"
	"havre/internal/cert"
	"havre/internal/doctor"
	"havre/internal/event"
	"havre/internal/metric"
	"havre/internal/project"
	"havre/internal/reconcile"
	"havre/internal/route"
	"havre/internal/secret"
)

// Process is a role's process.
type Process struct{ p *process }

// Pid is its number.
func (p Process) Pid() int { return p.p.pid }

// Done is closed when it has ended.
func (p Process) Done() <-chan struct{} { return p.p.done }

// Stop asks it to end, and makes it end after a while.
func (p Process) Stop(patience time.Duration) { p.p.stop(patience) }

func process1(p *process) (Process, bool) { return Process{p}, p != nil }

// Watch follows a process that is not our child.
func Watch(pid int) (Process, bool) { return process1(watch(pid)) }

// Adopt takes over a role that runs.
func Adopt(l Layout, name, program string) (Process, bool) {
	return process1(keepOn(l, Role{Name: name}, program))
}

// Spawn starts a role.
func Spawn(l Layout, name, program string) (Process, error) {
	p, err := spawn(l, Role{Name: name}, program)
	return Process{p}, err
}

// StartAs starts a role, or a process of any other name, as a user that exists.
func StartAs(l Layout, name, as, program string) (Process, error) {
	r, err := Find(name)
	if err != nil {
		r = Role{Name: name}
	}
	r.As = as
	p, err := spawn(l, r, program)
	return Process{p}, err
}

// Logger is what a role writes its log with.
func Logger(name string) *slog.Logger { return logger(name, "") }

// KeepLog empties a role's pipe into its log until end is called.
func (l Layout) KeepLog(name string) (end func(), err error) { return l.keepLog(name) }

// Remember notes a role's process.
func (l Layout) Remember(name string, pid int) error { return l.remember(name, pid) }

// Running finds it again.
func (l Layout) Running(name string) int { return l.running(name) }

// Settled tells whether the roles are of the supervisor's program.
func (l Layout) Settled() error { return l.settled() }

// Lock lets one supervisor in.
func (l Layout) Lock() (interface{ Close() error }, error) { return l.lock() }

// Prepare makes the directories for one user.
func (l Layout) Prepare(uid, gid int) error {
	return l.prepare(account{uid, gid}, account{uid, gid})
}

// AdminToken reads the token as root does, when this user is the server's.
func (l Layout) AdminToken(uid int) (secret.Text, error) { return l.token(account{uid, uid}) }

// SaveContext writes the context of the person who called.
func SaveContext(url string, token secret.Text) (string, error) { return saveContext(url, token) }

// ForgetContext removes it again.
func ForgetContext(token secret.Text) string { return forgetContext(token) }

// Hindrance is what would keep the server from starting.
func (l Layout) Hindrance() error { return l.hindrance() }

// LastWords are what roles that ended complained of.
func (l Layout) LastWords() string { return l.lastWords() }

// LittleEndian reads an address as /proc/net/route writes it.
func LittleEndian(s string) (netip.Addr, bool) { return littleEndian(s) }

// Routes are the networks of this machine.
func Routes() ([]netip.Prefix, error) { return machine{}.Routes() }

// ListenerHolder is who has the port of a listener of the ingress.
func ListenerHolder(listen string) doctor.Holder {
	p, _ := listened(listen)
	return holderOf(p, nil)
}

// Holder is who has a port, unless it is the user ours.
func Holder(ours string, p project.Port) (string, bool) { return machine{ours: ours}.holder(p) }

// TrimLog cuts a log that is too long.
func TrimLog(file string) { trimLog(file) }

// AlertFile reads again what the server's configuration says of alerts.
func AlertFile(l Layout) func() (alert.Config, bool, error) { return (&alertFile{layout: l}).reread }

// Sources are where certificates come from.
type Sources struct {
	Own    *cert.Authority
	Public *cert.Public
	Dir    string // of files
}

// Certify gives hosts their certificates, and what the status says of them.
func Certify(t *testing.T, from Sources, hosts []route.Host) ([]route.Certificate, string) {
	t.Helper()
	ls := &leaves{authority: from.Own, public: from.Public, dir: from.Dir}
	certs, err := ls.For(hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return certs, ls.part(time.Now()).Says
}

// Seen is what metrics and events are made of when hosts have their certificates.
func Seen(t *testing.T, from Sources, hosts []route.Host, db event.Keeper) metric.Facts {
	t.Helper()
	ls := &leaves{authority: from.Own, public: from.Public, dir: from.Dir}
	w := &witness{journal: event.New(db), loop: reconcile.New(reconcile.Hands{}, reconcile.Settings{}), certs: ls}
	if err := w.Saw(t.Context(), reconcile.Passed{}); err != nil { // the first sight tells nothing
		t.Fatal(err)
	}
	if _, err := ls.For(hosts, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.Saw(t.Context(), reconcile.Passed{}); err != nil {
		t.Fatal(err)
	}
	return (&backend{seer: w}).facts()
}

// Ports are what metrics say of the ports of an ingress.
func Ports(t *testing.T, socket string) []metric.Port { return newControl(socket).ports(t.Context()) }
