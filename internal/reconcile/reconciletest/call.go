package reconciletest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// Snapshot shows everything as it is now.
func (c *Cluster) Snapshot(ctx context.Context) (service.Snapshot, error) {
	snap := service.Snapshot{At: time.Now()}
	err := c.do(ctx, "look", func() error {
		for _, s := range c.everything() {
			if s.id != "" && !s.gone || s.live() > 0 {
				snap.Services = append(snap.Services, c.observed(s))
			}
		}
		snap.Hooks = c.hooksNow()
		for _, h := range snap.Hooks {
			if h.Live() {
				snap.Services = append(snap.Services, service.Observed{Project: h.Project, ID: h.Service, Rollout: h.Rollout,
					Tasks: []service.Task{{ID: h.Container, Container: h.Container, State: service.Starting, Duty: h.Duty, Wanted: true, Since: h.Created, Created: h.Created}}})
			}
		}
		for _, n := range c.networks {
			if n.Target == (service.Target{}) {
				snap.Networks = append(snap.Networks, n)
			} else {
				snap.Links = append(snap.Links, n)
			}
		}
		for _, p := range c.portals {
			p.Networks = slices.Clone(p.Networks)
			snap.Portals = append(snap.Portals, p)
		}
		return nil
	})
	slices.SortFunc(snap.Services, func(a, b service.Observed) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.ID, b.ID), a.Rollout-b.Rollout)
	})
	return snap, err
}

func (c *Cluster) observed(s *swarmService) service.Observed {
	o := service.Observed{SwarmID: s.id, Environment: s.d.Environment, Project: s.d.Project, ID: s.d.ID, Rollout: s.d.Rollout, Replicas: s.replicas}
	o.Networks = append(o.Networks, s.d.Network)
	for _, j := range s.d.Joins {
		o.Networks = append(o.Networks, j.Network)
	}
	if s.gone {
		o.SwarmID, o.Replicas, o.Networks = "", 0, nil
	}
	for _, b := range slices.Backward(s.boxes) {
		o.Tasks = append(o.Tasks, service.Task{
			ID: b.id, Container: b.id, Slot: b.slot, State: b.state, Wanted: b.stop.IsZero(), Address: address(b.address),
			Health: b.health, HealthLog: b.log, ExitCode: b.exit, OOM: b.oom, Error: b.err, Since: b.since, Created: b.created,
		})
	}
	return o
}

// StartService makes the swarm service of a rollout, unless it is there.
// Errors: NotFound when its network or image is missing.
func (c *Cluster) StartService(ctx context.Context, d service.Desired) error {
	return c.act(ctx, "start "+d.Name(), func() error {
		if !slices.ContainsFunc(c.networks, func(n service.Network) bool { return n.ID == d.Network && n.Project == d.Project }) {
			return problem.New(problem.NotFound, "no network %s", d.Network)
		}
		for _, j := range d.Joins {
			if err := c.mayJoin(d, j); err != nil {
				return err
			}
		}
		if _, known := c.apps[d.Image]; !known {
			return problem.New(problem.NotFound, "no image %s", d.Image)
		}
		for _, f := range d.Files {
			if _, kept := c.configs[f.ConfigID]; !kept {
				return problem.New(problem.NotFound, "no config %s", f.ConfigID)
			}
		}
		for _, f := range d.Secrets {
			if !c.secrets[f.SecretID] {
				return problem.New(problem.NotFound, "no secret %s", f.SecretID)
			}
		}
		for _, s := range c.services {
			if s.d.Name() == d.Name() {
				return nil
			}
		}
		c.unfilled(d)
		id := c.next("swarm")
		c.services[id] = &swarmService{id: id, d: d, network: d.Network, replicas: d.Spec.Replicas}
		return nil
	})
}

// mayJoin judges an end of a link as the guard does.
func (c *Cluster) mayJoin(d service.Desired, j service.Join) error {
	i := slices.IndexFunc(c.networks, func(n service.Network) bool { return n.ID == j.Network })
	if i < 0 {
		return problem.New(problem.NotFound, "no network %s", j.Network)
	}
	n, self := c.networks[i], service.Target{Project: d.Project, Service: d.ID}
	switch {
	case n.Target == service.Target{}, n.Environment != d.Environment, n.Project != d.Project && n.Target != self:
		return problem.New(problem.Denied, "the network %s is not for %s", n.Name, d.Name())
	case n.Target != self && len(j.Aliases) > 0:
		return problem.New(problem.Denied, "only the target has names on %s", n.Name)
	}
	return nil
}

// ScaleService sets how many containers a swarm service has.
// Errors: NotFound.
func (c *Cluster) ScaleService(ctx context.Context, swarmID string, replicas int) error {
	return c.act(ctx, "scale", func() error {
		s := c.services[swarmID]
		if s == nil {
			return problem.New(problem.NotFound, "no service %s", swarmID)
		}
		s.replicas = replicas
		return nil
	})
}

// RemoveService takes a swarm service away; its containers stop afterwards.
func (c *Cluster) RemoveService(ctx context.Context, swarmID string) error {
	return c.act(ctx, "remove", func() error {
		if c.services[swarmID] != nil {
			c.drop(swarmID)
		}
		return nil
	})
}

// EnsureNetwork makes a network.
// Errors: Conflict when its subnet is taken.
func (c *Cluster) EnsureNetwork(ctx context.Context, want service.Network) (id string, err error) {
	err = c.act(ctx, "make network", func() error {
		if slices.Contains(c.Taken, want.Subnet) {
			return problem.New(problem.Conflict, "the swarm does not give it the addresses %s", want.Subnet)
		}
		for _, n := range c.networks {
			if n.Name == want.Name {
				id = n.ID
				return nil
			}
			if n.Subnet == want.Subnet {
				return problem.New(problem.Conflict, "subnet %s is taken by network %s", n.Subnet, n.Name)
			}
		}
		want.ID = c.next("net")
		id = want.ID
		c.networks = append(c.networks, want)
		return nil
	})
	return id, err
}

// RemoveNetwork takes a network away, and portals off it.
// Errors: Busy while a container uses it.
func (c *Cluster) RemoveNetwork(ctx context.Context, id string) error {
	return c.act(ctx, "remove network", func() error {
		for _, s := range c.everything() {
			on := s.network == id || slices.ContainsFunc(s.d.Joins, func(j service.Join) bool { return j.Network == id })
			if on && (s.live() > 0 || !s.gone) {
				return problem.New(problem.Busy, "network %s is still used", id)
			}
		}
		c.hooksNow()
		for _, h := range c.hooks {
			if h.d.Network == id {
				return problem.New(problem.Busy, "network %s is still used by an %s", id, h.Duty)
			}
		}
		for i := range c.portals {
			p := &c.portals[i]
			p.Networks = slices.DeleteFunc(slices.Clone(p.Networks), func(n string) bool { return n == id })
			if len(p.Networks) == 0 && p.Running { // an engine could not connect it to another one
				c.broken = append(c.broken, "the portal of "+p.Environment+" lost its last network")
			}
		}
		c.networks = slices.DeleteFunc(c.networks, func(n service.Network) bool { return n.ID == id })
		return nil
	})
}

// EnsureVolume makes a volume.
func (c *Cluster) EnsureVolume(ctx context.Context, v service.Volume) (source string, fresh bool, err error) {
	source = v.Environment + "/" + string(v.Project) + "/" + v.Name
	err = c.act(ctx, "volume "+v.Name, func() error {
		if !c.volumes[source] && v.Kept {
			return problem.New(problem.NotFound, "the volume %s is gone", v.Name)
		}
		if !c.volumes[source] {
			c.volumes[source], c.fresh[source], c.fills[source] = true, true, 0
		}
		fresh = c.fresh[source]
		return nil
	})
	return source, fresh, err
}

// EnsureConfig keeps a file.
func (c *Cluster) EnsureConfig(ctx context.Context, _ string, p spec.ProjectID, f service.File) (service.File, error) {
	sum := sha256.Sum256(f.Content)
	id := string(p) + "-" + hex.EncodeToString(sum[:8])
	f.ConfigID, f.ConfigName = id, id
	return f, c.act(ctx, "config "+f.Target, func() error {
		c.configs[id] = p
		return nil
	})
}

// KeepImage puts an image on the shelf.
func (c *Cluster) KeepImage(ctx context.Context, _, id string) error {
	return c.act(ctx, "keep "+id, func() error {
		c.images[id] = true
		return nil
	})
}

// TidyImages takes what is not in use from the shelf.
func (c *Cluster) TidyImages(ctx context.Context, inUse map[string]map[string]bool) error {
	return c.act(ctx, "tidy images", func() error {
		maps.DeleteFunc(c.images, func(id string, _ bool) bool {
			for _, ids := range inUse {
				if ids[id] {
					return false
				}
			}
			return true
		})
		return nil
	})
}

// TidyContainers finds nothing: this engine does not die.
func (c *Cluster) TidyContainers(ctx context.Context) error {
	return c.do(ctx, "tidy containers", func() error { return nil })
}

// TidyConfigs removes files that no swarm service mounts.
func (c *Cluster) TidyConfigs(ctx context.Context) error {
	return c.act(ctx, "tidy", func() error {
		used := map[string]bool{}
		for _, s := range c.services {
			for _, f := range s.d.Files {
				used[f.ConfigID] = true
			}
		}
		maps.DeleteFunc(c.configs, func(id string, _ spec.ProjectID) bool { return !used[id] })
		return nil
	})
}

// EnsureSecret keeps a secret.
func (c *Cluster) EnsureSecret(ctx context.Context, _ string, p spec.ProjectID, u service.SecretUse) (service.SecretFile, error) {
	id := string(p) + "-" + u.Version
	return service.SecretFile{SecretID: id, SecretName: id}, c.act(ctx, "secret "+u.Name, func() error {
		c.secrets[id] = true
		return nil
	})
}

// TidySecrets removes secrets that no swarm service mounts.
func (c *Cluster) TidySecrets(ctx context.Context) error {
	return c.act(ctx, "tidy secrets", func() error {
		used := map[string]bool{}
		for _, s := range c.services {
			for _, f := range s.d.Secrets {
				used[f.SecretID] = true
			}
		}
		maps.DeleteFunc(c.secrets, func(id string, _ bool) bool { return !used[id] })
		return nil
	})
}

// LastLines are what the container's app says.
func (c *Cluster) LastLines(ctx context.Context, container string, n int) (lines []string, err error) {
	err = c.do(ctx, "log", func() error {
		for _, h := range c.hooks {
			if h.Container == container {
				lines = c.apps[h.d.Image].Says
			}
		}
		for _, s := range c.everything() {
			for _, b := range s.boxes {
				if b.id == container {
					lines = c.apps[s.d.Image].Says
				}
			}
		}
		return nil
	})
	return lines[max(0, len(lines)-n):], err
}

// KeepLogs notes whose lines are kept. Those of a container that is gone are lost.
func (c *Cluster) KeepLogs(ctx context.Context, of []project.Page) error {
	return c.do(ctx, "keep logs", func() error {
		for _, p := range of {
			for _, s := range c.everything() {
				if slices.ContainsFunc(s.boxes, func(b *box) bool { return b.id == p.Container }) {
					c.pages[p.Container] = p
				}
			}
		}
		return nil
	})
}

// TidyLogs forgets pages of rollouts that are not wanted.
func (c *Cluster) TidyLogs(ctx context.Context, wanted func(s spec.ServiceID, rollout int) bool) error {
	return c.do(ctx, "tidy logs", func() error {
		maps.DeleteFunc(c.pages, func(_ string, p project.Page) bool { return !wanted(p.Service, p.Rollout) })
		return nil
	})
}

// Kept tells of how many containers of each rollout of a service lines are kept.
func (c *Cluster) Kept(s spec.ServiceID) map[int]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := map[int]int{}
	for _, p := range c.pages {
		if p.Service == s {
			kept[p.Rollout]++
		}
	}
	return kept
}

// Follow takes the route table, if it is a good one.
func (c *Cluster) Follow(ctx context.Context, t route.Table) (problems []route.Problem, err error) {
	err = c.act(ctx, "follow", func() error {
		if err := t.Validate(); err != nil {
			return err
		}
		c.table = t
		for _, r := range t.TCP {
			if who, held := c.Held[r.Listen]; held {
				problems = append(problems, route.Problem{Listen: ":" + itoa(r.Listen) + "/tcp", Service: r.Service, Says: "port " + itoa(r.Listen) + " is taken by " + who})
			}
		}
		for _, r := range t.UDP { // as the ingress, which cannot see whose a port is
			if _, held := c.Held[r.Listen]; held {
				problems = append(problems, route.Problem{Listen: ":" + itoa(r.Listen) + "/udp", Service: r.Service, Says: "port " + itoa(r.Listen) + " is taken"})
			}
		}
		return nil
	})
	return problems, err
}

// Status tells which table is followed and who is connected.
func (c *Cluster) Status(ctx context.Context) (s route.Status, err error) {
	err = c.do(ctx, "status", func() error {
		s.Digest, s.Open, s.Sick = c.table.Digest(), maps.Clone(c.open), map[string]string{}
		for _, r := range c.table.HTTP {
			for _, t := range r.Targets {
				if r.Front.Check.Path != "" && c.ails != "" && len(s.Sick) < c.ailing {
					s.Sick[t.Container] = c.ails
				}
			}
		}
		return nil
	})
	return s, err
}

// Connect opens connections to each container the ingress leads to, or with a
// number below zero ends all there are.
func (c *Cluster) Connect(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n < 0 {
		clear(c.open)
		return
	}
	for _, r := range c.table.TCP {
		for _, t := range r.Targets {
			c.open[t.Container] += n
		}
	}
}

// Probe tells whether a container's port accepts.
// Errors: Unavailable.
func (c *Cluster) Probe(ctx context.Context, t route.Target) error {
	return c.do(ctx, "probe", func() error {
		for _, s := range c.everything() {
			for _, b := range s.boxes {
				if b.id == t.Container && b.state == service.Running && !c.apps[s.d.Image].Deaf && address(b.address) == t.Address {
					return nil
				}
			}
		}
		return problem.New(problem.Unavailable, "connection refused")
	})
}

// For gives no certificates; the ingress then shows its own.
func (c *Cluster) For([]route.Host, time.Time) ([]route.Certificate, error) { return nil, nil }

// Holder names who has a port.
func (c *Cluster) Holder(_ context.Context, port uint16, _ spec.Protocol) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Held[port], nil
}

// Image finds an app by the part of its id after "sha256:".
// Errors: NotFound.
func (c *Cluster) Image(_ context.Context, _, name string) (service.Image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	app, ok := c.apps["sha256:"+name]
	if !ok {
		return service.Image{}, problem.New(problem.NotFound, "no image %s", name).With("make it with: havre image build")
	}
	app.Image.ID = "sha256:" + name
	return app.Image, nil
}

// Volumes lists a project's volumes.
func (c *Cluster) Volumes(_ context.Context, environment string, p spec.ProjectID) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	prefix := environment + "/" + string(p) + "/"
	for v := range c.volumes {
		if len(v) > len(prefix) && v[:len(prefix)] == prefix {
			names = append(names, v[len(prefix):])
		}
	}
	slices.Sort(names)
	return names, nil
}

// VolumeUse counts nothing.
// Errors: NotFound.
func (c *Cluster) VolumeUse(_ context.Context, v service.Volume, _ int64) (service.VolumeUse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := v.Environment + "/" + string(v.Project) + "/" + v.Name
	if !c.volumes[at] {
		return service.VolumeUse{}, problem.New(problem.NotFound, "no volume %s", v.Name)
	}
	return service.VolumeUse{Path: at, Bytes: 4096, Files: 1}, nil
}

// CleanVolume notes what was emptied among the acts.
func (c *Cluster) CleanVolume(ctx context.Context, v service.Volume, what service.Cleaning) (bytes, files int64, err error) {
	return 4096, 1, c.act(ctx, fmt.Sprintf("clean %s %s %v", v.Name, what.Part, what.Keep), func() error { return nil })
}

// RemoveVolume removes one.
// Errors: Conflict while a container mounts it.
func (c *Cluster) RemoveVolume(_ context.Context, environment string, p spec.ProjectID, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	source := environment + "/" + string(p) + "/" + name
	for _, s := range c.everything() {
		if s.live() > 0 && slices.ContainsFunc(s.d.Binds, func(b service.Bind) bool { return b.Source == source }) {
			return problem.New(problem.Conflict, "volume %s is mounted", name)
		}
	}
	delete(c.volumes, source)
	return nil
}

// Machine is the cluster's machine, as who deploys sees it.
type Machine struct{ *Cluster }

// Routes are none.
func (Machine) Routes() ([]netip.Prefix, error) { return nil, nil }

// Holder tells who else has a port.
func (m Machine) Holder(ctx context.Context, p project.Port) (string, bool) {
	who, _ := m.Cluster.Holder(ctx, p.Number, p.Protocol) // never fails
	return who, who != ""
}
