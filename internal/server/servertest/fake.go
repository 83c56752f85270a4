// Package servertest stands in for everything behind the API: it remembers
// what was applied and how it fares, in memory, and runs nothing.
package servertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/server"
	"havre/internal/spec"
)

// Fake is a Havre without an engine. What goes wrong is told to it before.
type Fake struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows
	kept    []*kept
	images  []api.Image
	secrets []held
	values  int             // that secrets had so far
	volumes map[string]bool // environment.project.volume
	files   map[string]map[string]string
	stored  []api.Volume          // what the volumes' own commands see
	lines   map[string][]api.Line // by service name
	trouble map[string]trouble    // by service name
	held    map[string]bool       // service names that do not get on
	starts  map[string]int        // how often one began to start since Hold
	bounds  string                // why the guard refuses every apply
	ill     string                // what is wrong with the engine
	events  []api.Event
	silent  []api.Silence
	read    int           // how often Usage was asked
	visits  int           // how often Access was asked to read on
	changed chan struct{} // closed and replaced at each change
}

// kept is one service as it was declared.
type kept struct {
	env, project string
	spec         spec.Service
	state        string
	rollout      int
	since        time.Time
	rollouts     []rollout         // ascending
	secrets      map[string]string // that it mounts, and their versions
}

type trouble struct {
	says  string
	lines []string
}

// New makes a fake that knows the images app:1 and app:2.
func New() *Fake {
	f := &Fake{
		now:     time.Now,
		volumes: map[string]bool{}, files: map[string]map[string]string{}, lines: map[string][]api.Line{}, trouble: map[string]trouble{},
		held: map[string]bool{}, starts: map[string]int{}, changed: make(chan struct{}),
	}
	for _, name := range []string{"app:1", "app:2"} {
		f.addImage(spec.DefaultEnvironment, name, 4<<20)
	}
	return f
}

// Backend gives all pieces.
func (f *Fake) Backend() server.Backend {
	return server.Backend{
		Deployer: f, Services: f, Rollouts: f, Scaler: f, Switcher: f, Remover: f, Logs: f, Executor: f, Volumes: f, Files: files{f},
		Images: images{f}, Builder: images{f}, Secrets: f, Health: f, Authority: f, Downer: f, Events: events{f}, Meter: f, Metrics: f, Alerts: f, Access: f,
	}
}

// Fail makes a service fail from its next start on, with its last words.
func (f *Fake) Fail(service, says string, lines ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble[service] = trouble{says, lines}
}

// Heal takes Fail back.
func (f *Fake) Heal(service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.trouble, service)
}

// Hold keeps a service from getting on until Release.
func (f *Fake) Hold(service string) { f.set(func() { f.held[service], f.starts[service] = true, 0 }) }

// Release lets it get on.
func (f *Fake) Release(service string) { f.set(func() { delete(f.held, service) }) }

// Refuse makes every apply be refused by the guard.
func (f *Fake) Refuse(says string) { f.set(func() { f.bounds = says }) }

// Sicken makes the engine unwell.
func (f *Fake) Sicken(says string) { f.set(func() { f.ill = says }) }

// Print makes a service print a line.
func (f *Fake) Print(service, stream, text string) {
	f.set(func() {
		f.lines[service] = append(f.lines[service], api.Line{Time: f.now(), Service: service, Slot: 1, Stream: stream, Text: text})
	})
}

// Await waits until a service is in a state; "held" is a service at which a
// start waits for Release.
func (f *Fake) Await(ctx context.Context, service, state string) error {
	return f.until(ctx, func() bool {
		if state == "held" {
			return f.held[service] && f.starts[service] > 0
		}
		return slices.ContainsFunc(f.kept, func(k *kept) bool { return k.spec.Name == service && k.state == state })
	})
}

// set changes the fake and wakes those that wait.
func (f *Fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// until waits for something to be so.
func (f *Fake) until(ctx context.Context, so func() bool) error {
	for {
		f.mu.Lock()
		ok, next := so(), f.changed
		f.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
	}
}

func (k *kept) full() string { return k.env + "." + k.project + "." + k.spec.Name }

// matches tells whether a name as people write it can mean k.
func (k *kept) matches(t api.Target) bool {
	if t.Environment != "" && t.Environment != k.env {
		return false
	}
	full := k.full()
	if t.Project {
		full = k.env + "." + k.project
	}
	return full == t.Name || strings.HasSuffix(full, "."+t.Name)
}

// find gives the services that t means; the caller holds mu.
func (f *Fake) find(t api.Target) ([]*kept, error) {
	var found []*kept
	for _, k := range f.kept {
		if k.matches(t) {
			found = append(found, k)
		}
	}
	whole := func(k *kept) string { return k.full() }
	noun := "service"
	if t.Project {
		whole = func(k *kept) string { return k.env + "." + k.project }
		noun = "project"
	}
	var names []string
	for _, k := range found {
		names = append(names, whole(k))
	}
	names = slices.Compact(names)
	switch len(names) {
	case 0:
		return nil, problem.New(problem.NotFound, "no %s is named %s", noun, t.Name).With("list them with: havre ps")
	case 1:
		return found, nil
	}
	return nil, problem.New(problem.Conflict, "%s can mean %s", t.Name, strings.Join(names, " or ")).With("write it in full")
}

func (f *Fake) one(t api.Target) (*kept, error) {
	found, err := f.find(t)
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func portsOf(s spec.Service) []string {
	var all []string
	for _, p := range s.Ports {
		all = append(all, fmt.Sprintf("%d->%d/%s %s", p.External, p.Internal, p.Protocol, p.Access))
	}
	return all
}

// Version says who is there.
func (f *Fake) Version(context.Context) (api.Version, error) {
	return api.Version{Version: "fake", Engine: "28.0.0", API: "1.48"}, nil
}

// Status says how the fake is.
func (f *Fake) Status(context.Context) (api.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	projects := map[string]bool{}
	for _, k := range f.kept {
		projects[k.env+"."+k.project] = true
	}
	return api.Status{
		Version: api.Version{Version: "fake", Engine: "28.0.0", API: "1.48"},
		Node:    "node1",
		Healthy: f.ill == "",
		Parts: []api.Part{
			{Name: "engine", Well: f.ill == "", Says: f.ill},
			{Name: "guard", Well: true}, {Name: "ingress", Well: true}, {Name: "loop", Well: true},
		},
		Projects: len(projects), Services: len(f.kept),
	}, nil
}

// Root gives something that looks like a certificate.
func (f *Fake) Root(context.Context) ([]byte, error) {
	return []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), nil
}
