package role

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"havre/internal/alert"
	"havre/internal/api"
	"havre/internal/cert"
	"havre/internal/deploy"
	"havre/internal/event"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/reconcile"
	"havre/internal/server"
	"havre/internal/spec"
	"havre/internal/store"
	"havre/internal/swarm"
)

// Version is Havre's; the command line sets it from the build.
var Version = "dev"

// backend is what stands behind the API: the domain, wired to this machine.
type backend struct {
	*deploy.Deployer
	engine    *swarm.Swarm
	loop      *reconcile.Loop
	ingress   *control
	authority *cert.Authority
	journal   *event.Journal
	layout    Layout
	port      uint16 // of the API

	meter   meter
	seer    *witness
	watch   *alert.Watch
	db      *store.Store
	log     *slog.Logger
	started time.Time

	mu    sync.Mutex // guards what follows
	swarm error      // why there is no swarm yet
}

func newBackend(l Layout, c *ServerConfig, db *store.Store, engine *swarm.Swarm, ing *control, view loopView) (*backend, error) {
	m, err := newMachine()
	if err != nil {
		return nil, err
	}
	cl := cluster{engine}
	var registry deploy.Registry = engine
	if c.Offline {
		registry = nil
	}
	return &backend{
		engine: engine, loop: view.Loop, ingress: ing, started: time.Now(), db: db, layout: l, port: c.port(),
		swarm: problem.New(problem.Unavailable, "the engine was not asked yet"),
		Deployer: &deploy.Deployer{
			Records: db, Rights: engine, Images: engine, Registry: registry, Offline: c.Offline, Loop: view, Volumes: cl,
			Machine: where{m, cl}, Environments: []string{spec.DefaultEnvironment}, Disks: spaces{l},
		},
	}, nil
}

// where is the machine, and its containers' last lines.
type where struct {
	machine
	cluster
}

// Holder names the program that has a port, by its user's name when the guard
// cannot say more.
func (w where) Holder(ctx context.Context, p project.Port) (string, bool) {
	who, taken := w.machine.holder(p)
	if !taken {
		return "", false
	}
	if name, err := w.engine.Holder(ctx, p.Number, p.Protocol); err == nil && name != "" {
		who = name
	}
	return who, true
}

func (b *backend) pieces() server.Backend {
	return server.Backend{
		Deployer: b, Services: b, Rollouts: b, Scaler: b, Switcher: b, Remover: b,
		Logs: b, Executor: b, Volumes: b, Files: files{b}, Images: images{b}, Builder: images{b}, Secrets: b, Health: b, Authority: b, Downer: b, Events: b.journal, Meter: b, Metrics: b, Alerts: b, Access: b,
	}
}

// settle makes the engine ready for Havre: the swarm and the firewall rules.
// It tries until it worked, because the engine may start later than we do.
func (b *backend) settle(ctx context.Context, log *slog.Logger) {
	for wait := 250 * time.Millisecond; ; wait = min(wait*2, 10*time.Second) {
		err := b.engine.EnsureSwarm(ctx)
		if err == nil {
			err = b.engine.RemoveCarriers(ctx)
		}
		if err == nil {
			err = b.engine.EnsureFirewall(ctx, []uint16{b.port})
		}
		b.mu.Lock()
		b.swarm = err
		b.mu.Unlock()
		if err == nil {
			b.loop.Poke()
			return
		}
		log.Warn("the engine is not ready", "problem", err, "again", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// listen wakes the loop at each event of the engine, for as long as ctx lives.
func (b *backend) listen(ctx context.Context, log *slog.Logger) error {
	for wait := 250 * time.Millisecond; ; wait = min(wait*2, 10*time.Second) {
		began := time.Now()
		err := b.engine.Events(ctx, func(swarm.Change) { b.loop.Poke() })
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > time.Minute {
			wait = 250 * time.Millisecond
		}
		log.Warn("the engine's events broke off", "problem", err, "again", wait)
		b.loop.Poke() // what happened meanwhile was not heard
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// Logs gives what a target's containers printed.
func (b *backend) Logs(ctx context.Context, t api.Target, o api.LogOptions, yield func(api.Line) error) error {
	return b.Deployer.Logs(ctx, t, o, cluster{b.engine}.printed, yield)
}

// Exec runs a command in a running container of a service: of the replica that
// was asked for, else of one that serves.
func (b *backend) Exec(ctx context.Context, t api.Target, start api.ExecStart, s api.ExecStreams) (int, error) {
	all, err := b.Containers(ctx, t, false)
	if err != nil {
		return 0, err
	}
	var best *deploy.Container
	for i, c := range all {
		if c.Running && (start.Slot == 0 || c.Slot == start.Slot) && (best == nil || c.Serving && !best.Serving) {
			best = &all[i]
		}
	}
	if best == nil {
		return 0, problem.New(problem.Unavailable, "no container of %s runs", t.Name).With("see why with: havre why %s", t.Name)
	}
	return b.engine.Exec(ctx, swarm.ExecRequest{
		Container: best.ID, Cmd: start.Command, Env: start.Env, User: start.User, Dir: start.Dir, TTY: start.TTY,
		Stdin: s.In, Stdout: s.Out, Stderr: s.Err, Resize: resizes(ctx, start.Size, s.Resize),
	})
}

// resizes passes sizes on in the engine's type, the first one first.
func resizes(ctx context.Context, first api.Size, from <-chan api.Size) <-chan swarm.Size {
	to := make(chan swarm.Size, 1)
	to <- swarm.Size{Width: uint(first.Cols), Height: uint(first.Rows)}
	go func() {
		defer close(to)
		for from != nil {
			select {
			case s, more := <-from:
				if !more {
					return
				}
				select {
				case to <- swarm.Size{Width: uint(s.Cols), Height: uint(s.Rows)}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

// Root gives the authority's own certificate.
func (b *backend) Root(context.Context) ([]byte, error) { return []byte(b.authority.RootPEM()), nil }

// Down stops every service, for good until they are started again.
func (b *backend) Down(ctx context.Context, report func(api.Progress)) error {
	records, err := b.Records.Projects(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Removed || len(r.Present()) == 0 {
			continue
		}
		if err := b.Stop(ctx, api.Target{Name: r.Name, Environment: r.Environment, Project: true}, report); err != nil {
			return fmt.Errorf("stop project %s: %w", r.Name, err)
		}
	}
	return nil
}

// images serves the API's images and builds.
type images struct{ *backend }

// List gives an environment's images and who uses them.
func (b images) List(ctx context.Context, environment string) ([]api.Image, error) {
	found, err := b.engine.Images(ctx, environmentOr(environment))
	if err != nil {
		return nil, err
	}
	by, err := b.users(ctx, environmentOr(environment))
	if err != nil {
		return nil, err
	}
	list := []api.Image{}
	for _, i := range found {
		list = append(list, api.Image{Name: i.Name, Environment: environmentOr(environment), ID: i.ID, Size: i.Size, Created: i.Created, UsedBy: by[i.Name]})
	}
	return list, nil
}

// users gives the services declared with each image, by its name with the tag.
func (b images) users(ctx context.Context, environment string) (map[string][]string, error) {
	uses, err := b.Uses(ctx)
	by := map[string][]string{}
	for _, u := range uses {
		if u.Environment == environment {
			name := swarm.FullName(u.Image)
			by[name] = append(by[name], u.Service)
		}
	}
	return by, err
}

// Remove takes a name from an environment unless a service is declared with it.
// Errors: NotFound; Conflict.
func (b images) Remove(ctx context.Context, environment, name string) (api.Removed, error) {
	environment = environmentOr(environment)
	if _, err := b.engine.Image(ctx, environment, name); err != nil {
		return api.Removed{}, err
	}
	users, err := b.users(ctx, environment)
	if err != nil {
		return api.Removed{}, err
	}
	if by := users[swarm.FullName(name)]; len(by) > 0 {
		return api.Removed{}, problem.New(problem.Conflict, "image %s is used by %s", name, by[0]).With("remove that service first: havre rm %s", by[0])
	}
	return api.Removed{Gone: []string{"image " + name}}, b.engine.RemoveImage(ctx, environment, name)
}

// Load takes a docker-archive in.
func (b images) Load(ctx context.Context, environment, name string, archive io.Reader) (api.Image, error) {
	if name == "" {
		return api.Image{}, problem.New(problem.Invalid, "the image has no name").With("give it one with: havre image load --name NAME")
	}
	if err := deploy.TooFull(b.Disks.Spaces()); err != nil {
		return api.Image{}, err
	}
	i, err := b.engine.LoadImage(ctx, environmentOr(environment), name, archive)
	return api.Image{Name: name, Environment: environmentOr(environment), ID: i.ID, Size: i.Size, Created: i.Created}, err
}

// Build builds from a context.
func (b images) Build(ctx context.Context, o api.BuildOptions, from io.Reader, report func(api.Progress)) (api.Image, error) {
	if err := deploy.TooFull(b.Disks.Spaces()); err != nil {
		return api.Image{}, err
	}
	env := environmentOr(o.Environment)
	args := map[string]string{}
	for _, a := range o.Args {
		name, value, _ := strings.Cut(a, "=")
		args[name] = value
	}
	err := b.engine.BuildImage(ctx, swarm.BuildRequest{Environment: env, Name: o.Name, Dockerfile: o.Dockerfile, Args: args, Target: o.Target, NoCache: o.NoCache}, from,
		func(line string) { report(api.Progress{Line: line}) })
	if err != nil {
		return api.Image{}, err
	}
	return b.image(ctx, env, o.Name)
}

// Pull takes an image from its registry.
func (b images) Pull(ctx context.Context, environment, name string, report func(api.Progress)) (api.Image, error) {
	if b.Registry == nil {
		return api.Image{}, problem.New(problem.Denied, "nothing is pulled here: the server's configuration says offline").
			With("bring the image by hand: havre image load; or take offline out of the server's configuration, and: havre up")
	}
	if err := deploy.TooFull(b.Disks.Spaces()); err != nil {
		return api.Image{}, err
	}
	env := environmentOr(environment)
	i, err := b.Registry.PullImage(ctx, env, name, func(line string) { report(api.Progress{Line: line}) })
	return api.Image{Name: name, Environment: env, ID: i.ID, Size: i.Size, Created: i.Created}, err
}

func (b images) image(ctx context.Context, environment, name string) (api.Image, error) {
	i, err := b.engine.Image(ctx, environment, name)
	return api.Image{Name: name, Environment: environment, ID: i.ID, Size: i.Size, Created: i.Created}, err
}

func environmentOr(e string) string {
	if e == "" {
		return spec.DefaultEnvironment
	}
	return e
}
