package guard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/policy"
	"havre/internal/problem"
)

// factsOf looks up what judging the call needs to know. An object counts
// only when the engine calls it by the very id that was asked for.
func (g *Guard) factsOf(ctx context.Context, call dockercall.Call) (policy.Facts, error) {
	f := policy.Facts{Instance: g.instance, Networks: map[dockercall.SwarmID]policy.Object{}, Configs: map[dockercall.SwarmID]policy.Object{}, Secrets: map[dockercall.SwarmID]policy.Object{}}
	portal, err := g.portalImage()
	if err != nil {
		return f, err
	}
	f.Portal = portal
	if look := lookups[call.Kind()]; look != nil {
		err = look(g, ctx, call, &f)
	}
	return f, err
}

type lookup func(g *Guard, ctx context.Context, call dockercall.Call, f *policy.Facts) error

// look makes a lookup of one for a concrete type.
func look[T dockercall.Call](do func(g *Guard, ctx context.Context, call T, f *policy.Facts) error) lookup {
	return func(g *Guard, ctx context.Context, call dockercall.Call, f *policy.Facts) error {
		return do(g, ctx, call.(T), f)
	}
}

// lookups says what to look up for a kind; the others need nothing.
var lookups = map[dockercall.Kind]lookup{
	dockercall.NetworkCreateKind: look(func(g *Guard, ctx context.Context, _ *dockercall.NetworkCreate, f *policy.Facts) error {
		var err error
		f.Subnets, err = g.subnets(ctx)
		return err
	}),
	dockercall.NetworkInspectKind: look(func(g *Guard, ctx context.Context, c *dockercall.NetworkInspect, f *policy.Facts) error {
		return g.network(ctx, c.ID, &f.Target)
	}),
	dockercall.NetworkRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.NetworkRemove, f *policy.Facts) error {
		return g.network(ctx, c.ID, &f.Target)
	}),
	dockercall.NetworkConnectKind: look(func(g *Guard, ctx context.Context, c *dockercall.NetworkConnect, f *policy.Facts) error {
		return anyOf(g.network(ctx, c.ID, &f.Target), g.container(ctx, c.Attach.Container, &f.Container))
	}),
	dockercall.NetworkDisconnectKind: look(func(g *Guard, ctx context.Context, c *dockercall.NetworkDisconnect, f *policy.Facts) error {
		return anyOf(g.network(ctx, c.ID, &f.Target), g.container(ctx, c.Detach.Container, &f.Container))
	}),
	dockercall.ServiceCreateKind: look(func(g *Guard, ctx context.Context, c *dockercall.ServiceCreate, f *policy.Facts) error {
		return g.mentioned(ctx, c.Spec, f)
	}),
	dockercall.ServiceUpdateKind: look(func(g *Guard, ctx context.Context, c *dockercall.ServiceUpdate, f *policy.Facts) error {
		return anyOf(g.service(ctx, c.ID, &f.Target), g.mentioned(ctx, c.Spec, f))
	}),
	dockercall.ServiceInspectKind: look(func(g *Guard, ctx context.Context, c *dockercall.ServiceInspect, f *policy.Facts) error {
		return g.service(ctx, c.ID, &f.Target)
	}),
	dockercall.ServiceRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.ServiceRemove, f *policy.Facts) error {
		return g.service(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerCreateKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerCreate, f *policy.Facts) error {
		if err := g.image(ctx, dockercall.ImageName(c.Spec.Image), &f.Image); err != nil || c.Spec.HostConfig == nil {
			return err
		}
		h := c.Spec.HostConfig
		if h.NetworkMode != "" && h.NetworkMode != "none" {
			if err := g.networks(ctx, f, dockercall.SwarmID(h.NetworkMode)); err != nil {
				return err
			}
		}
		return g.places(ctx, f, h.Mounts)
	}),
	dockercall.ContainerInspectKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerInspect, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerStartKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerStart, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerStopKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerStop, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerRemove, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerLogsKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerLogs, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerPathKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerPath, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerGetKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerGet, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerPutKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerPut, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ContainerStatsKind: look(func(g *Guard, ctx context.Context, c *dockercall.ContainerStats, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ExecCreateKind: look(func(g *Guard, ctx context.Context, c *dockercall.ExecCreate, f *policy.Facts) error {
		return g.container(ctx, c.ID, &f.Target)
	}),
	dockercall.ExecStartKind: look(func(g *Guard, ctx context.Context, c *dockercall.ExecStart, f *policy.Facts) error {
		return g.exec(ctx, c.ID, &f.Target)
	}),
	dockercall.ExecResizeKind: look(func(g *Guard, ctx context.Context, c *dockercall.ExecResize, f *policy.Facts) error {
		return g.exec(ctx, c.ID, &f.Target)
	}),
	dockercall.ExecInspectKind: look(func(g *Guard, ctx context.Context, c *dockercall.ExecInspect, f *policy.Facts) error {
		return g.exec(ctx, c.ID, &f.Target)
	}),
	dockercall.ImageInspectKind: look(func(g *Guard, ctx context.Context, c *dockercall.ImageInspect, f *policy.Facts) error {
		return g.image(ctx, c.Image, &f.Image)
	}),
	dockercall.ImageTagKind: look(func(g *Guard, ctx context.Context, c *dockercall.ImageTag, f *policy.Facts) error {
		return g.image(ctx, c.Image, &f.Image)
	}),
	dockercall.ImageRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.ImageRemove, f *policy.Facts) error {
		return g.image(ctx, c.Image, &f.Image)
	}),
	dockercall.ConfigRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.ConfigRemove, f *policy.Facts) error {
		return g.config(ctx, c.ID, &f.Target)
	}),
	dockercall.SecretRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.SecretRemove, f *policy.Facts) error {
		return g.secret(ctx, c.ID, &f.Target)
	}),
	dockercall.VolumeEnsureKind: look(func(g *Guard, ctx context.Context, c *dockercall.VolumeEnsure, f *policy.Facts) error {
		if err := g.image(ctx, dockercall.ImageName(c.Image), &f.Image); err != nil {
			return err
		}
		return g.resolvePaths(ctx, f, []dockercall.Path{c.Path, policy.SeedTarget})
	}),
	dockercall.ForeignTagKind: look(func(g *Guard, ctx context.Context, c *dockercall.ForeignTag, f *policy.Facts) error {
		return g.image(ctx, dockercall.ImageName(c.Image), &f.Image)
	}),
	dockercall.ForeignSwitchKind: look(func(g *Guard, ctx context.Context, c *dockercall.ForeignSwitch, f *policy.Facts) error {
		return g.foreign(ctx, c.Container, c.Service, &f.Target)
	}),
	dockercall.ForeignRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.ForeignRemove, f *policy.Facts) error {
		return g.foreign(ctx, c.Container, c.Service, &f.Target)
	}),
	dockercall.ForeignDataKind: look(func(g *Guard, ctx context.Context, c *dockercall.ForeignData, f *policy.Facts) error {
		at, err := g.mountedAt(ctx, g.bounds.source(dockercall.Volume{Environment: c.Environment, Project: c.Project, Name: c.Name}))
		f.MountedAt = at
		return err
	}),
	dockercall.VolumeRemoveKind: look(func(g *Guard, ctx context.Context, c *dockercall.VolumeRemove, f *policy.Facts) error {
		at, err := g.awaitUnmounted(ctx, g.bounds.source(dockercall.Volume(*c)))
		f.MountedAt = at
		return err
	}),
	dockercall.VolumeCleanKind: look(func(g *Guard, ctx context.Context, c *dockercall.VolumeClean, f *policy.Facts) error {
		at, err := g.mountedAt(ctx, g.bounds.source(dockercall.Volume{Environment: c.Environment, Project: c.Project, Name: c.Name}))
		f.MountedAt = at
		return err
	}),
	dockercall.ConventionsKind: look(func(g *Guard, ctx context.Context, c *dockercall.Conventions, f *policy.Facts) error {
		return g.image(ctx, dockercall.ImageName(c.Image), &f.Image)
	}),
}

func anyOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unlessMissing takes "no such thing" for an answer.
func unlessMissing(err error) error {
	if problem.KindOf(err) == problem.NotFound {
		return nil
	}
	return err
}

// mentioned looks up what a service's specification refers to.
func (g *Guard) mentioned(ctx context.Context, s dockercall.ServiceSpec, f *policy.Facts) error {
	box := s.TaskTemplate.ContainerSpec
	if box == nil {
		return nil
	}
	for _, n := range s.TaskTemplate.Networks {
		if err := g.networks(ctx, f, n.Target); err != nil {
			return err
		}
	}
	for _, c := range box.Configs {
		var o policy.Object
		if err := g.config(ctx, c.ConfigID, &o); err != nil {
			return err
		}
		f.Configs[c.ConfigID] = o
	}
	for _, s := range box.Secrets {
		var o policy.Object
		if err := g.secret(ctx, s.SecretID, &o); err != nil {
			return err
		}
		f.Secrets[s.SecretID] = o
	}
	if err := g.image(ctx, dockercall.ImageName(box.Image), &f.Image); err != nil {
		return err
	}
	return g.places(ctx, f, box.Mounts, append(box.Files(), cmp.Or(box.Dir, dockercall.Path(f.Image.Dir)))...)
}

// places resolves where things are mounted, and other paths of the image.
func (g *Guard) places(ctx context.Context, f *policy.Facts, mounts []dockercall.Mount, others ...dockercall.Path) error {
	paths := others
	for _, m := range mounts {
		paths = append(paths, m.Target)
	}
	return g.resolvePaths(ctx, f, paths)
}

func (g *Guard) networks(ctx context.Context, f *policy.Facts, id dockercall.SwarmID) error {
	var o policy.Object
	err := g.network(ctx, id, &o)
	f.Networks[id] = o
	return err
}

func (g *Guard) network(ctx context.Context, id dockercall.SwarmID, o *policy.Object) error {
	var n struct {
		Id, Name string
		Labels   map[string]string
	}
	err := g.lookUp(ctx, "/networks/", string(id), "", &n)
	*o = policy.Object{Exists: n.Id == string(id) && id != "", Name: n.Name, Labels: n.Labels}
	return err
}

// addressed is a network with its addresses. One of the swarm's has none until
// the swarm has set them aside.
type addressed struct {
	IPAM struct{ Config []struct{ Subnet string } }
}

// subnets are those of every network that the engine has. A text that is not a
// subnet ends the call: what has it is unknown.
func (g *Guard) subnets(ctx context.Context) ([]netip.Prefix, error) {
	var all []addressed
	if err := g.engine.get(ctx, "/networks", "", &all); err != nil {
		return nil, err
	}
	var taken []netip.Prefix
	for _, n := range all {
		for _, c := range n.IPAM.Config {
			if c.Subnet == "" {
				continue
			}
			p, err := netip.ParsePrefix(c.Subnet)
			if err != nil {
				return nil, fmt.Errorf("read the subnets of the engine's networks: %w", err)
			}
			taken = append(taken, p)
		}
	}
	return taken, nil
}

func (g *Guard) service(ctx context.Context, id dockercall.SwarmID, o *policy.Object) error {
	return g.swarmObject(ctx, "/services/", id, o)
}

func (g *Guard) config(ctx context.Context, id dockercall.SwarmID, o *policy.Object) error {
	return g.swarmObject(ctx, "/configs/", id, o)
}

func (g *Guard) secret(ctx context.Context, id dockercall.SwarmID, o *policy.Object) error {
	return g.swarmObject(ctx, "/secrets/", id, o)
}

func (g *Guard) swarmObject(ctx context.Context, path string, id dockercall.SwarmID, o *policy.Object) error {
	var s struct {
		ID   string
		Spec struct {
			Name   string
			Labels map[string]string
		}
	}
	err := g.lookUp(ctx, path, string(id), "", &s)
	*o = policy.Object{Exists: s.ID == string(id) && id != "", Name: s.Spec.Name, Labels: s.Spec.Labels}
	return err
}

func (g *Guard) container(ctx context.Context, id dockercall.ContainerID, o *policy.Object) error {
	var c struct {
		Id, Name string
		Config   struct{ Labels map[string]string }
	}
	err := g.lookUp(ctx, "/containers/", string(id), "/json", &c)
	*o = policy.Object{Exists: c.Id == string(id) && id != "", Name: strings.TrimPrefix(c.Name, "/"), Labels: c.Config.Labels}
	return err
}

// exec looks up the container of an exec.
func (g *Guard) exec(ctx context.Context, id dockercall.ExecID, o *policy.Object) error {
	var e struct{ ID, ContainerID string }
	if err := g.lookUp(ctx, "/exec/", string(id), "/json", &e); err != nil || e.ID != string(id) {
		return err
	}
	return g.container(ctx, dockercall.ContainerID(e.ContainerID), o)
}

// lookUp reads an object; one that is missing leaves v as it is.
func (g *Guard) lookUp(ctx context.Context, before, id, after string, v any) error {
	if id == "" {
		return nil
	}
	return unlessMissing(g.engine.get(ctx, before+id+after, "", v))
}

func (g *Guard) image(ctx context.Context, name dockercall.ImageName, i *policy.Image) error {
	var a struct {
		Id       string
		RepoTags []string
		Config   *struct {
			Labels     map[string]string
			OnBuild    []string
			Volumes    map[string]struct{}
			WorkingDir string
		}
	}
	if err := g.lookUp(ctx, "/images/", string(name), "/json", &a); err != nil || a.Id == "" {
		return err
	}
	*i = policy.Image{Exists: true, ID: dockercall.ImageID(a.Id)}
	i.Refs, i.Foreign = refs(a.RepoTags)
	if a.Config != nil {
		i.Labels, i.OnBuild, i.Dir = a.Config.Labels, a.Config.OnBuild, a.Config.WorkingDir
		i.Volumes = slices.Sorted(maps.Keys(a.Config.Volumes))
	}
	return nil
}

// refs gives the names in havre.invalid, and whether there are others.
func refs(tags []string) (ours []dockercall.Ref, foreign bool) {
	for _, t := range tags {
		r := dockercall.Ref(t)
		if r.Environment() == "" {
			foreign = foreign || t != "<none>:<none>"
			continue
		}
		ours = append(ours, r)
	}
	return ours, foreign
}
