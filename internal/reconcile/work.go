package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// work is one pass: what it looks at, and what went wrong on the way.
type work struct {
	loop     *Loop
	view     project.View
	records  []project.Record
	busy     bool // something is on its way
	restless bool // something that should be well is not
	wrong    []error
}

func (w *work) pace() Pace {
	switch {
	case w.busy:
		return Busy
	case w.restless:
		return Restless
	}
	return Calm
}

func (w *work) err() error { return errors.Join(w.wrong...) }

func (w *work) failed(what string, err error) {
	if err != nil {
		w.wrong = append(w.wrong, fmt.Errorf("%s: %w", what, err))
	}
}

// project does what is next for one project. The record is changed along.
func (w *work) project(ctx context.Context, r *project.Record) {
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	network := w.network(*r)
	if network == "" && slices.ContainsFunc(r.Present(), runs) {
		made, err := w.fence(ctx, service.Network{Environment: r.Environment, Project: r.ID, Subnet: r.Subnet}, func(subnet string) error {
			r.Subnet = subnet
			return w.keep(ctx, r)
		})
		if err != nil {
			w.unfenced(ctx, r, err)
			return
		}
		network = made.ID
		w.view.Snapshot.Networks = append(w.view.Snapshot.Networks, made)
	}
	w.failed("remember what crashed in "+r.Name, w.troubles(ctx, r))
	w.hooks(ctx, r)
	w.rejoin(ctx, r)
	for _, a := range project.Next(*r, w.view) {
		w.step(ctx, r, a, network)
	}
	for _, s := range r.Present() {
		if done, _ := s.Settled(); !done {
			w.busy = true
		} else if project.Restless(*r, s, w.view) {
			w.restless = true
		}
		if w.lingers(s) {
			w.busy = true
		}
	}
	if network != "" && !slices.ContainsFunc(r.Present(), runs) {
		w.unfence(ctx, r.ID, network)
	}
}

// step takes one step, and says what went wrong with it.
func (w *work) step(ctx context.Context, r *project.Record, a project.Action, network string) {
	w.loop.untidy = true
	err := w.act(ctx, r, a, network)
	if err != nil && a.Verb == service.Start {
		if ro := rollout(r, a); ro != nil && ro.State == project.Failed {
			return // it was given up and said why; a later try may work
		}
		err = w.giveUp(ctx, r, a, err)
	}
	w.busy = true
	w.failed(fmt.Sprintf("%s r%d of %s.%s", a.Verb, a.Rollout, r.Name, a.Name), err)
}

// unfenced gives up what waits for a network that cannot be made.
func (w *work) unfenced(ctx context.Context, r *project.Record, why error) {
	why = fmt.Errorf("make the network of %s: %w", r.Name, why)
	given := false
	for _, s := range r.Present() {
		a := project.Action{Service: s.ID, Name: s.Name, Step: service.Step{Rollout: s.Target}}
		given = w.giveUp(ctx, r, a, why) == nil || given
	}
	if !given {
		w.wrong = append(w.wrong, why)
	}
	w.busy = true
}

func rollout(r *project.Record, a project.Action) *project.Rollout {
	if s := r.ByID(a.Service); s != nil {
		return s.Rollout(a.Rollout)
	}
	return nil
}

// giveUp fails a rollout that cannot be started, at once when trying again
// would be the same, else after as long as a start may take.
func (w *work) giveUp(ctx context.Context, r *project.Record, a project.Action, why error) error {
	ro := rollout(r, a)
	lasting := false
	var lines []string
	if broken := (*hookFailed)(nil); errors.As(why, &broken) {
		lasting, lines = true, broken.lines
	}
	switch problem.KindOf(why) {
	case problem.Invalid, problem.Denied, problem.NotFound, problem.Conflict:
		lasting = true
	}
	if ro == nil || ro.State != project.Pending || !lasting && (ro.Started.IsZero() || time.Since(ro.Started) < service.Patience) {
		return why
	}
	a.Verb, a.Reason = service.Fail, "it could not be started: "+why.Error()
	w.loop.set.Log.Warn("given up", "project", r.Name, "service", a.Name, "rollout", a.Rollout, "reason", a.Reason)
	return w.save(ctx, r, a, lines)
}

func runs(s *project.Service) bool { return s.Current() != nil }

func (w *work) network(r project.Record) string {
	for _, n := range w.view.Snapshot.Networks {
		if n.Project == r.ID {
			return n.ID
		}
	}
	return ""
}

// unfence removes the network of a project without services, once nothing
// stops on it any more.
func (w *work) unfence(ctx context.Context, id spec.ProjectID, network string) {
	onIt := func(o service.Observed) bool { return o.Project == id }
	hooked := func(h service.Hook) bool { return h.Project == id }
	if slices.ContainsFunc(w.view.Snapshot.Services, onIt) || slices.ContainsFunc(w.view.Snapshot.Hooks, hooked) {
		w.busy = true
		return
	}
	nets := &w.view.Snapshot.Networks
	*nets = slices.DeleteFunc(slices.Clone(*nets), func(n service.Network) bool { return n.ID == network })
	w.portals(ctx) // the portal holds on to the network
	w.drop(ctx, "remove a network", network)
}

// act carries out one step. What a step says about the record is saved before
// anything else happens on its account.
func (w *work) act(ctx context.Context, r *project.Record, a project.Action, network string) error {
	log := w.loop.set.Log.With("project", r.Name, "service", a.Name, "rollout", a.Rollout)
	switch a.Verb {
	case service.Remove:
		log.Info("remove")
		w.keepLogs(ctx, r, a)
		return w.loop.hands.RemoveService(ctx, a.SwarmID)
	case service.Scale:
		log.Info("scale", "replicas", a.Replicas)
		if a.Replicas == 0 {
			w.keepLogs(ctx, r, a)
			return w.empty(ctx, a)
		}
		return w.loop.hands.ScaleService(ctx, a.SwarmID, a.Replicas)
	case service.Start:
		if err := w.save(ctx, r, a, nil); err != nil {
			return err
		}
		log.Info("start")
		return w.start(ctx, r, a, network)
	case service.Leave:
		log.Info("leaves the routes")
		return w.save(ctx, r, a, nil)
	case service.Activate:
		// Who reads in the record that it serves may ask it at once.
		w.routes(ctx, w.after(*r, a))
		log.Info("serves")
		return w.save(ctx, r, a, nil)
	case service.Fail:
		log.Warn("given up", "reason", a.Reason)
		return w.save(ctx, r, a, w.lastWords(ctx, a))
	}
	return fmt.Errorf("no step is called %q", a.Verb)
}

// empty takes all containers from a swarm service. To scale it is to write its
// whole declaration again, and what that names may be gone or allowed no more;
// to remove it takes nothing. It is made again when it is to run.
func (w *work) empty(ctx context.Context, a project.Action) error {
	err := w.loop.hands.ScaleService(ctx, a.SwarmID, 0)
	switch problem.KindOf(err) {
	case problem.Denied, problem.Invalid:
		w.loop.set.Log.Warn("removed, for it cannot be scaled", "service", a.Name, "rollout", a.Rollout, "reason", err)
		return w.loop.hands.RemoveService(ctx, a.SwarmID)
	}
	return err
}

// after is what will be remembered of all projects after a step of r's.
func (w *work) after(r project.Record, a project.Action) []project.Record {
	r.Services = slices.Clone(r.Services)
	r.Apply(a, nil, w.view.Now)
	all := slices.Clone(w.records)
	for i := range all {
		if all[i].ID == r.ID {
			all[i] = r
		}
	}
	return all
}

func (w *work) save(ctx context.Context, r *project.Record, a project.Action, lines []string) error {
	next := *r
	next.Services = slices.Clone(r.Services)
	next.Apply(a, lines, time.Now().UTC())
	if err := w.loop.hands.SaveProject(ctx, next); err != nil {
		return err
	}
	next.Version++
	*r = next
	return nil
}

// lastWords are what the rollout's last container printed, for a person.
func (w *work) lastWords(ctx context.Context, a project.Action) []string {
	for _, o := range w.view.Snapshot.Services {
		if o.ID != a.Service || o.Rollout != a.Rollout {
			continue
		}
		for _, ended := range []bool{true, false} { // one that ended says more
			for _, t := range o.Tasks {
				if t.Container == "" || t.State.Ended() != ended {
					continue
				}
				if lines, err := w.loop.hands.LastLines(ctx, t.Container, lastLines); err == nil && len(lines) > 0 {
					return lines
				}
			}
		}
	}
	return nil
}

// start makes everything a rollout stands on, then its swarm service. A
// failure that will not go away by itself gives the rollout up.
func (w *work) start(ctx context.Context, r *project.Record, a project.Action, network string) error {
	s := r.ByID(a.Service)
	ro := s.Rollout(a.Rollout)
	d := service.Desired{
		Environment: r.Environment, Project: r.ID, ID: s.ID, Rollout: ro.Number,
		Network: network, Image: ro.Image.ID, Spec: ro.Spec, CheckStart: service.CheckStart(ro.Spec, ro.Image),
	}
	joins, err := w.join(ctx, ro.Joins)
	if err != nil {
		return err
	}
	d.Joins = joins
	for name, value := range ro.Spec.Environment {
		d.Variables = append(d.Variables, name+"="+value)
	}
	slices.Sort(d.Variables)
	var unfilled []string
	for _, m := range ro.Spec.Mounts {
		switch m.Kind {
		case spec.Volume:
			source, fresh, err := w.loop.hands.EnsureVolume(ctx, service.Volume{
				Environment: r.Environment, Project: r.ID, Name: m.Source,
				Image: ro.Image.ID, Path: m.Target, User: ro.Spec.User, Kept: r.Holds(m.Source), Bare: m.From != "",
			})
			if err != nil {
				return fmt.Errorf("volume %s: %w", m.Source, err)
			}
			if fresh {
				unfilled = append(unfilled, m.Source)
			}
			d.Binds = append(d.Binds, service.Bind{Source: source, Target: m.Target, ReadOnly: m.ReadOnly})
		case spec.Config:
			i := slices.IndexFunc(ro.Files, func(f spec.File) bool { return f.Name == m.Source })
			if i < 0 {
				return fmt.Errorf("file %s is not in the rollout", m.Source)
			}
			f := service.File{Target: m.Target, Mode: ro.Files[i].Mode, UID: m.UID, GID: m.GID, Content: ro.Files[i].Content}
			if f, err = w.loop.hands.EnsureConfig(ctx, r.Environment, r.ID, f); err != nil {
				return fmt.Errorf("file %s: %w", m.Source, err)
			}
			d.Files = append(d.Files, f)
		case spec.SecretFile:
			f, err := w.secret(ctx, r, ro, m)
			if err != nil {
				return err
			}
			d.Secrets = append(d.Secrets, f)
		case spec.Tmpfs: // the swarm reads these from the declaration
		}
	}
	if err := w.loop.hands.KeepImage(ctx, r.Environment, ro.Image.ID); err != nil {
		return err
	}
	if filled, err := w.fill(ctx, r, d, unfilled); err != nil || !filled {
		return err
	}
	if upgraded, err := w.upgrade(ctx, r, d); err != nil || !upgraded {
		return err
	}
	return w.loop.hands.StartService(ctx, d)
}

// secret has the swarm keep a value that a rollout mounts.
func (w *work) secret(ctx context.Context, r *project.Record, ro *project.Rollout, m spec.Mount) (service.SecretFile, error) {
	i := slices.IndexFunc(ro.Secrets, func(s service.Secret) bool { return s.Name == m.Source })
	if i < 0 {
		return service.SecretFile{}, fmt.Errorf("secret %s is not in the rollout", m.Source)
	}
	use := service.SecretUse{Secret: ro.Secrets[i], Owner: service.Owner{UID: m.UID, GID: m.GID, Mode: m.Mode}}
	f, err := w.loop.hands.EnsureSecret(ctx, r.Environment, r.ID, use)
	if err != nil {
		return f, fmt.Errorf("secret %s: %w", m.Source, err)
	}
	f.Target, f.UID, f.GID, f.Mode = m.Target, m.UID, m.GID, m.Mode
	return f, nil
}

// tidy removes configs and secrets that nothing mounts any more. Those of
// rollouts kept for going back are remembered and made again if need be.
func (w *work) tidy(ctx context.Context, records []project.Record) {
	if w.busy {
		return
	}
	w.failed("tidy the containers", w.loop.hands.TidyContainers(ctx)) // what lies there shows only with time
	w.tidyLogs(ctx, records)
	if !w.loop.untidy {
		return
	}
	if err := w.loop.hands.TidyConfigs(ctx); err != nil {
		w.failed("tidy the files", err)
		return
	}
	if err := w.loop.hands.TidySecrets(ctx); err != nil {
		w.failed("tidy the secrets", err)
		return
	}
	if err := w.tidyImages(ctx, records); err != nil {
		w.failed("tidy the images", err)
		return
	}
	w.loop.untidy = false
}

// tidyImages lets go of images that no remembered rollout ran, also in
// environments of which nothing is remembered.
func (w *work) tidyImages(ctx context.Context, records []project.Record) error {
	inUse := map[string]map[string]bool{}
	for _, r := range records {
		if inUse[r.Environment] == nil {
			inUse[r.Environment] = map[string]bool{}
		}
		for _, s := range r.Services {
			for _, ro := range s.Rollouts {
				inUse[r.Environment][ro.Image.ID] = true
			}
		}
	}
	return w.loop.hands.TidyImages(ctx, inUse)
}

// orphans removes what belongs to projects that nobody remembers, which is
// what a lost database or a failed removal leaves behind.
func (w *work) orphans(ctx context.Context, records []project.Record) {
	known := map[spec.ProjectID]bool{}
	for _, r := range records {
		known[r.ID] = true
	}
	for id := range w.loop.known {
		w.loop.untidy = w.loop.untidy || !known[id] // it was forgotten, and may have left something
	}
	w.loop.known = known
	for _, o := range w.view.Snapshot.Services {
		if !known[o.Project] && o.SwarmID != "" {
			w.busy, w.loop.untidy = true, true
			w.failed("remove a service of no project", w.loop.hands.RemoveService(ctx, o.SwarmID))
		}
	}
	for _, h := range w.view.Snapshot.Hooks {
		if !known[h.Project] {
			w.busy = true
			w.failed("remove a hook of no project", w.loop.hands.RemoveHook(ctx, h))
		}
	}
	for _, n := range slices.Clone(w.view.Snapshot.Networks) {
		if !known[n.Project] {
			w.unfence(ctx, n.Project, n.ID)
		}
	}
}

// portals gives each environment with networks its portal, and takes it from
// the others.
func (w *work) portals(ctx context.Context) {
	want := map[string][]string{}
	for _, n := range w.view.Snapshot.Networks {
		want[n.Environment] = append(want[n.Environment], n.ID)
	}
	for env, nets := range want {
		slices.Sort(nets)
		if w.loop.portalled && w.serves(env, nets) {
			continue
		}
		w.failed("portal of "+env, w.loop.hands.EnsurePortal(ctx, env, nets))
	}
	for _, p := range w.view.Snapshot.Portals {
		if _, wanted := want[p.Environment]; !wanted { // again for each generation: what is gone is gone
			w.failed("portal of "+p.Environment, w.loop.hands.RemovePortal(ctx, p.Environment))
		}
	}
}

// serves tells whether the portal of env runs on exactly these networks, and
// those before it need nothing.
func (w *work) serves(env string, nets []string) bool {
	have := slices.DeleteFunc(slices.Clone(w.view.Snapshot.Portals), func(p service.Portal) bool { return p.Environment != env })
	next := service.TendPortals(have, "", nets, w.view.Now)
	return next.Idle() && slices.Equal(slices.Sorted(slices.Values(next.Keep.Networks)), nets)
}

// routes tells the ingress where everything is, and remembers what it could not do.
func (w *work) routes(ctx context.Context, records []project.Record) {
	t := project.Table(records, w.view.Snapshot, w.loop.set.Suffix)
	t.HTTPPort, t.HTTPSPort = w.loop.set.HTTPPort, w.loop.set.HTTPSPort
	if len(t.HTTP) > 0 {
		certs, err := w.loop.hands.For(t.Hosts(), time.Now())
		w.failed("certificates", err)
		t.Certificates = certs
	}
	w.loop.checked = slices.ContainsFunc(t.HTTP, func(r route.HTTP) bool { return r.Front.Check.Path != "" })
	digest := t.Digest()
	if digest == w.loop.told && len(w.loop.Sight().Listeners) == 0 && w.view.Now.Sub(w.loop.toldAt) < w.loop.set.Every*9/10 {
		return // it persists its table, so once is enough; each minute to be sure
	}
	problems, err := w.loop.hands.Follow(ctx, t)
	if err != nil {
		w.failed("tell the ingress", err)
		return
	}
	w.loop.told, w.loop.toldAt, w.loop.led = digest, w.view.Now, containers(t)
	w.loop.listeners(ctx, problems)
}
