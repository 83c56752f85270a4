package swarm

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// hookName is the name of the container of a service's hook. There is one of
// each duty at a time: the engine refuses a second one of the name.
func hookName(d service.Desired, duty service.Duty) string {
	return fmt.Sprintf("h-%s-%s-%s", d.Project, d.ID, duty)
}

// StartHook runs a command once as d's containers would run; an init has all
// volumes writable. One that was made for the same rollout and never started is
// started; it does nothing when it runs or has ended.
//
// Errors: Busy when there is one of another rollout.
func (s *Swarm) StartHook(ctx context.Context, d service.Desired, duty service.Duty, command []string) error {
	have, err := s.hook(ctx, d, duty)
	if err != nil {
		return err
	}
	switch {
	case have == nil:
		r, err := s.api.ContainerCreate(ctx, hookContainer(d, duty, command))
		if err != nil {
			return explain(err, "make the %s of %s", duty, d.Spec.Name)
		}
		have = &service.Hook{Container: r.ID, Rollout: d.Rollout, State: service.Waiting}
	case have.Rollout != d.Rollout:
		return problem.New(problem.Busy, "the %s of r%d of %s is still there", duty, have.Rollout, d.Spec.Name)
	case have.State != service.Waiting:
		return nil
	}
	if err := s.putFiles(ctx, have.Container, d); err != nil {
		return err
	}
	_, err = s.api.ContainerStart(ctx, have.Container, client.ContainerStartOptions{})
	return explain(err, "start the %s of %s", duty, d.Spec.Name)
}

func (s *Swarm) hook(ctx context.Context, d service.Desired, duty service.Duty) (*service.Hook, error) {
	r, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours(labelKind+"="+kindHook, labelService+"="+string(d.ID))})
	if err != nil {
		return nil, explain(err, "look for the %s of %s", duty, d.Spec.Name)
	}
	for _, h := range hooksOf(r.Items) {
		if h.Duty == duty {
			return &h, nil
		}
	}
	return nil, nil
}

// hookContainer is d's container with another command, for once.
func hookContainer(d service.Desired, duty service.Duty, command []string) client.ContainerCreateOptions {
	m := markOf(d)
	m.kind = kindHook
	s := d.Spec
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(d.Network), ReadonlyRootfs: s.ReadOnly,
		CapDrop:   translateDropped(s.CapDrop),
		LogConfig: container.LogConfig{Type: logDriver.Name, Config: logDriver.Options},
		Resources: container.Resources{Memory: int64(s.Limits.Memory), NanoCPUs: nano(s.Limits.CPUs)},
	}
	if s.Limits.Pids > 0 {
		host.PidsLimit = &s.Limits.Pids
	}
	if s.Init {
		host.Init = &s.Init
	}
	for _, t := range translateMounts(d) {
		if t.Type == mount.TypeBind && duty == service.Init {
			t.ReadOnly = false // what the service only reads, somebody has to fill
		}
		host.Mounts = append(host.Mounts, t)
	}
	return client.ContainerCreateOptions{
		Name: hookName(d, duty),
		Config: &container.Config{
			Image: d.Image, Entrypoint: command[:1], Cmd: command[1:], Env: d.Variables, User: s.User, WorkingDir: s.WorkingDir,
			Labels: m.labels(s.Labels), Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		HostConfig:       host,
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{d.Network: {}}},
	}
}

// putFiles gives a plain container the files that the swarm would mount.
func (s *Swarm) putFiles(ctx context.Context, id string, d service.Desired) error {
	if len(d.Files) == 0 {
		return nil
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range d.Files {
		mode := int64(f.Mode)
		if mode == 0 {
			mode = 0o444
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.Target, "/"), Uid: int(f.UID), Gid: int(f.GID), Mode: mode, Size: int64(len(f.Content)), ModTime: time.Now()}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(f.Content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return s.PutArchive(ctx, id, "/", &archive)
}

// hooksOf are the containers that run once before a service, newest first.
func hooksOf(all []container.Summary) []service.Hook {
	var hooks []service.Hook
	for _, c := range all {
		m := readMark(c.Labels)
		if m.kind != kindHook {
			continue
		}
		h := service.Hook{Duty: service.Init, Container: c.ID, Project: m.project, Service: m.service, Rollout: m.rollout, State: service.Running, Created: time.Unix(c.Created, 0)}
		if slices.ContainsFunc(c.Names, func(n string) bool { return strings.HasSuffix(n, "-"+string(service.Upgrade)) }) {
			h.Duty = service.Upgrade
		}
		switch {
		case c.State == container.StateCreated:
			h.State = service.Waiting
		case over(c.State):
			h.State = service.Complete
		}
		hooks = append(hooks, h)
	}
	slices.SortFunc(hooks, func(a, b service.Hook) int { return b.Created.Compare(a.Created) })
	return hooks
}

// HookEnding tells how a hook that has ended did so.
//
// Errors: NotFound.
func (s *Swarm) HookEnding(ctx context.Context, containerID string) (service.Task, error) {
	r, err := s.api.ContainerInspect(ctx, containerID, client.ContainerInspectOptions{})
	if err != nil {
		return service.Task{}, explain(err, "look at container %.12s", containerID)
	}
	t := service.Task{Container: containerID, State: service.Failed}
	st := r.Container.State
	if st == nil || !over(st.Status) {
		return service.Task{}, problem.New(problem.Busy, "container %.12s has not ended", containerID)
	}
	t.ExitCode, t.OOM, t.Error = st.ExitCode, st.OOMKilled, st.Error
	t.Since = when(st.FinishedAt)
	t.Created = when(st.StartedAt)
	if endedWell(st) {
		t.State = service.Complete
	}
	return t, nil
}

// endedWell tells whether a container that ran once did its work. An engine
// that died with the container knows no end of it, and some versions call that
// code 0. Which of the two times is earlier says nothing: the engine takes the
// start's after the process began, and a quick one has ended by then.
func endedWell(st *container.State) bool {
	return st.ExitCode == 0 && !st.OOMKilled && st.Error == "" && !when(st.StartedAt).IsZero() && !when(st.FinishedAt).IsZero()
}

// when reads a time of the engine's; zero for the year 1, which is none.
func when(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 {
		return time.Time{}
	}
	return t
}

// RemoveHook takes a hook away, also one that runs. It is no error when there
// is none.
func (s *Swarm) RemoveHook(ctx context.Context, containerID string) error {
	return s.removeContainer(ctx, containerID)
}

// Carrier is a container that is never started: the way to volumes that no
// container can be asked for.
type Carrier struct {
	Environment string
	Project     spec.ProjectID
	Service     spec.ServiceID
	Image       string
	Binds       []service.Bind // all of them writable
}

// carrierRole is in the names of carriers.
const carrierRole = "-cp-"

// MakeCarrier makes one; RemoveHook takes it away.
func (s *Swarm) MakeCarrier(ctx context.Context, c Carrier) (id string, err error) {
	o := client.ContainerCreateOptions{
		Name:       fmt.Sprintf("h-%s-%s%s%s", c.Project, c.Service, carrierRole, strings.ToLower(rand.Text()[:10])),
		Config:     &container.Config{Image: c.Image, Entrypoint: []string{"/never-started"}, Labels: mark{kind: kindProbe, environment: c.Environment, project: c.Project, service: c.Service, rollout: 1}.labels(nil)},
		HostConfig: &container.HostConfig{NetworkMode: "none", LogConfig: container.LogConfig{Type: logDriver.Name, Config: logDriver.Options}},
	}
	for _, b := range c.Binds {
		o.HostConfig.Mounts = append(o.HostConfig.Mounts, mount.Mount{Type: mount.TypeBind, Source: b.Source, Target: b.Target})
	}
	r, err := s.api.ContainerCreate(ctx, o)
	return r.ID, explain(err, "make a way to the volumes")
}

// RemoveCarriers removes those that a killed server left.
func (s *Swarm) RemoveCarriers(ctx context.Context) error {
	r, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours(labelKind + "=" + kindProbe)})
	if err != nil {
		return explain(err, "look for ways to volumes")
	}
	var wrong []error
	for _, c := range r.Items {
		if c.State == container.StateCreated && slices.ContainsFunc(c.Names, func(n string) bool { return strings.Contains(n, carrierRole) }) {
			wrong = append(wrong, s.removeContainer(ctx, c.ID))
		}
	}
	return errors.Join(wrong...)
}
