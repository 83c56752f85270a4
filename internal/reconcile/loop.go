// Package reconcile is the loop that makes what runs into what was asked for:
// observe, ask project what to do, carry it out, again. It runs after each
// event and each minute, and it may be killed at any line: whatever it did not
// finish it finds again the next time.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"havre/internal/project"
	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// Observer sees what the engine has.
type Observer interface {
	Snapshot(ctx context.Context) (service.Snapshot, error)
}

// Services makes, scales and removes swarm services.
type Services interface {
	StartService(ctx context.Context, d service.Desired) error
	ScaleService(ctx context.Context, swarmID string, replicas int) error
	RemoveService(ctx context.Context, swarmID string) error
}

// Fences keeps projects' networks.
type Fences interface {
	EnsureNetwork(ctx context.Context, n service.Network) (id string, err error)
	RemoveNetwork(ctx context.Context, id string) error
}

// Portals keeps one portal per environment, attached to networks by id, and
// those that were replaced for as long as service.TendPortals lets them stay.
type Portals interface {
	EnsurePortal(ctx context.Context, environment string, networks []string) error
	RemovePortal(ctx context.Context, environment string) error
}

// Storage keeps volumes and small files.
type Storage interface {
	EnsureVolume(ctx context.Context, v service.Volume) (source string, fresh bool, err error)
	EnsureConfig(ctx context.Context, environment string, p spec.ProjectID, f service.File) (service.File, error) // gives it the config's id and name
	TidyConfigs(ctx context.Context) error                                                                        // removes those that no swarm service mounts
}

// Secrets keeps what is only ever seen in memory.
type Secrets interface {
	EnsureSecret(ctx context.Context, environment string, p spec.ProjectID, u service.SecretUse) (service.SecretFile, error)
	TidySecrets(ctx context.Context) error // removes those that no swarm service mounts, and forgets values that nothing needs
}

// Hooks runs what works on a service's volumes before the service starts.
type Hooks interface {
	StartHook(ctx context.Context, d service.Desired, duty service.Duty, command []string) error // may be called twice
	HookEnding(ctx context.Context, container string) (service.Task, error)                      // Complete only if it surely did its work
	RemoveHook(ctx context.Context, h service.Hook) error                                        // it may take a while to be gone
	SettleVolume(ctx context.Context, environment string, p spec.ProjectID, name string) error   // it is new no more
}

// Shelf keeps the images that rollouts run, though their names move on.
type Shelf interface {
	KeepImage(ctx context.Context, environment, id string) error
	TidyImages(ctx context.Context, inUse map[string]map[string]bool) error // by environment and id
}

// Litter is what a dying engine leaves lying about.
type Litter interface {
	TidyContainers(ctx context.Context) error // removes those that will never be started
}

// Logs reads what a container printed last.
type Logs interface {
	LastLines(ctx context.Context, container string, n int) ([]string, error)
}

// Logbook keeps the last lines of containers that will be gone.
type Logbook interface {
	KeepLogs(ctx context.Context, of []project.Page) error // all of one rollout
	TidyLogs(ctx context.Context, wanted func(s spec.ServiceID, rollout int) bool) error
}

// Records remembers projects.
type Records interface {
	Projects(ctx context.Context) ([]project.Record, error)
	SaveProject(ctx context.Context, r project.Record) error
}

// Ingress follows the route table, tries targets out and tells who is connected.
type Ingress interface {
	Follow(ctx context.Context, t route.Table) ([]route.Problem, error)
	Probe(ctx context.Context, t route.Target) error
	Status(ctx context.Context) (route.Status, error)
}

// Holders names the program that has a port of the machine.
type Holders interface {
	Holder(ctx context.Context, port uint16, p spec.Protocol) (who string, err error)
}

// Certificates gives certificates for hosts.
type Certificates interface {
	For(hosts []route.Host, now time.Time) ([]route.Certificate, error)
}

// Hands is everything the loop works with.
type Hands struct {
	Observer
	Services
	Fences
	Portals
	Storage
	Hooks
	Secrets
	Shelf
	Litter
	Logs
	Logbook
	Records
	Ingress
	Holders
	Certificates
}

// Settings differ between loops.
type Settings struct {
	Every     time.Duration      // between passes when nothing happens; 0 is a minute
	HTTPPort  uint16             // of the ingress; 0 is 80
	HTTPSPort uint16             // of the ingress; 0 is 443
	Suffix    string             // of default domains; "" is none
	Addresses *project.Addresses // where a network finds other addresses when its own are taken; default: nowhere
	Witness   Witness            // default: nobody
	Backoff   service.Backoff    // how long what crashes again and again rests
	Log       *slog.Logger
}

// Witness is told what each pass saw, after all was done that there was to do.
type Witness interface {
	Saw(ctx context.Context, p Passed) error
}

// Passed is one pass of the loop.
type Passed struct {
	Records []project.Record
	View    project.View
	Took    time.Duration
	Blind   error // why nothing could be seen; Records and View are empty then
	Failed  error // what went wrong with what was to do
}

// Loop is the loop. Make it with New, run it with Run, wake it with Poke.
type Loop struct {
	hands Hands
	set   Settings
	poke  chan struct{}
	tried *accepted

	// Only the goroutine of Run and Pass touches these.
	untidy    bool                    // configs, secrets and kept images may lie about
	tidied    time.Time               // when old logs were last removed
	known     map[spec.ProjectID]bool // projects of the last pass
	portalled bool                    // portals were compared with this program's own
	told      string                  // digest of the table the ingress follows
	led       map[string]bool         // containers in it
	toldAt    time.Time               // and when it was told
	held      map[string]hold         // networks that the engine does not let go of
	checked   bool                    // the ingress checks containers

	mu   sync.Mutex // guards seen
	seen Sight
}

// Sight is what the last pass saw.
type Sight struct {
	Snapshot  service.Snapshot
	Listeners map[project.Port]string // ports that could not be bound, and why
	Sick      map[string]string       // containers that the ingress sends nobody to, by id, and why
	At        time.Time               // zero before the first pass
	Problem   string                  // why the last pass could not finish
}

// New makes a loop; it does nothing yet.
func New(h Hands, s Settings) *Loop {
	if s.Every == 0 {
		s.Every = time.Minute
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return &Loop{hands: h, set: s, poke: make(chan struct{}, 1), tried: newAccepted(h.Ingress), untidy: true}
}

// Poke asks for a pass soon. It never blocks.
func (l *Loop) Poke() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// Sight gives what the last pass saw.
func (l *Loop) Sight() Sight {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

// How soon the loop looks again: while something is on its way, and after a
// pass that failed. Gap keeps a burst of events from becoming a burst of passes.
// After an event it looks at once and then ever later: Swarm tells of no task
// that runs, which is some tenths of a second after its container started.
const (
	atOnce     = 50 * time.Millisecond
	soon       = 500 * time.Millisecond
	later      = 3 * time.Second // while something that should be well is not
	gap        = 100 * time.Millisecond
	longestTry = 5 * time.Second
	checkPace  = time.Second // between questions what the ingress's checks find
)

// Run makes passes until ctx is done. A pass that fails is reported and tried
// again, later and later.
func (l *Loop) Run(ctx context.Context) error {
	wait := gap
	failures, looks := 0, 0
	for {
		looks++
		if l.rest(ctx, wait) {
			looks = 0
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pace, err := l.Pass(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wait = min(soon<<min(failures, 10), longestTry)
			failures++
			l.set.Log.Warn("pass failed", "problem", err, "again", wait)
		case pace != Calm:
			latest := soon
			if pace == Restless {
				latest = later
			}
			wait, failures = min(atOnce<<min(looks, 10), latest), 0
		default:
			wait, failures = l.set.Every, 0
		}
		select { // events come in bursts
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(gap):
		}
	}
}

// rest waits until ctx is done or the next pass is due. It tells whether something
// happened meanwhile, which is then the reason.
func (l *Loop) rest(ctx context.Context, wait time.Duration) (happened bool) {
	due, tick := time.NewTimer(wait), time.NewTicker(checkPace)
	defer due.Stop()
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-l.poke:
			return true
		case <-due.C:
			return false
		case <-tick.C:
			if l.examine(ctx) {
				return true
			}
		}
	}
}

// examine asks the ingress which containers its checks take out, and tells
// whether it answers otherwise than before.
func (l *Loop) examine(ctx context.Context) (changed bool) {
	var s route.Status
	if l.checked {
		var err error
		ctx, cancel := context.WithTimeout(ctx, longestTry)
		defer cancel()
		if s, err = l.hands.Status(ctx); err != nil {
			return false // that it does not answer is told elsewhere
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = !maps.Equal(l.seen.Sick, s.Sick)
	l.seen.Sick = s.Sick
	return changed
}

// Pace is how soon another pass is due.
type Pace int

// The paces.
const (
	Calm     Pace = iota // nothing to do
	Restless             // something that should be well is not
	Busy                 // something is on its way
)

// Pass observes once and does everything that can be done at once. A failure
// in one project does not keep it from the others.
func (l *Loop) Pass(ctx context.Context) (Pace, error) {
	began := time.Now()
	records, snap, err := l.look(ctx)
	if err != nil {
		return Calm, l.note(errors.Join(err, l.tell(ctx, Passed{Blind: err, Took: time.Since(began)})))
	}
	v := project.View{Snapshot: snap, Accepts: l.tried.asker(ctx, snap), Quiet: l.quiet(ctx), Links: project.LinksOf(records), Now: time.Now(), Backoff: l.set.Backoff}
	l.see(snap)
	w := &work{loop: l, view: v, records: records}
	w.dropUnaddressed(ctx)
	for i := range records {
		w.project(ctx, &records[i])
	}
	w.orphans(ctx, records)
	w.unlink(ctx, records)
	w.portals(ctx)
	w.routes(ctx, records)
	w.tidy(ctx, records)
	l.examine(ctx)
	l.portalled = l.portalled || w.err() == nil
	w.failed("keep what happened", l.tell(ctx, Passed{Records: records, View: l.View(), Took: time.Since(began), Failed: w.err()}))
	return w.pace(), l.note(w.err())
}

// tell hands a pass on to the witness.
func (l *Loop) tell(ctx context.Context, p Passed) error {
	if l.set.Witness == nil || ctx.Err() != nil {
		return nil
	}
	return l.set.Witness.Saw(ctx, p)
}

// How long the loop waits for others at most: for a sight of the engine, and
// for all that there is to do for one project.
const (
	lookTime = 30 * time.Second
	workTime = 10 * time.Minute // a new volume may be seeded with much
)

func (l *Loop) look(ctx context.Context) ([]project.Record, service.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	records, err := l.hands.Projects(ctx)
	if err != nil {
		return nil, service.Snapshot{}, err
	}
	snap, err := l.hands.Snapshot(ctx)
	if err != nil {
		return nil, service.Snapshot{}, fmt.Errorf("look at the engine: %w", err)
	}
	return records, snap, nil
}

// listeners keeps which ports the ingress could not bind.
func (l *Loop) listeners(ctx context.Context, problems []route.Problem) {
	bad := map[project.Port]string{}
	for _, p := range problems { // ":25/tcp", ":53/udp", ":443/https"
		_, name, _ := strings.Cut(p.Listen, ":")
		number, kind, _ := strings.Cut(name, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			continue
		}
		port := project.Port{Number: uint16(n), Protocol: spec.TCP}
		if kind == string(spec.UDP) {
			port.Protocol = spec.UDP
		}
		bad[port] = p.Says
		// The ingress, without rights, cannot see whose the port is.
		if who, err := l.hands.Holder(ctx, port.Number, port.Protocol); err == nil && who != "" {
			bad[port] = fmt.Sprintf("port %d is taken by %s", n, who)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.Listeners = bad
}

// see keeps the snapshot for those who ask.
func (l *Loop) see(snap service.Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.Snapshot, l.seen.At = snap, snap.At
}

func (l *Loop) note(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.Problem = ""
	if err != nil {
		l.seen.Problem = err.Error()
	}
	return err
}

// View is the last sight in the form that project asks with. Ports count as
// accepting when they once did; nothing is dialled.
func (l *Loop) View() project.View {
	s := l.Sight()
	return project.View{Snapshot: s.Snapshot, Accepts: l.tried.known, Now: time.Now()}
}
