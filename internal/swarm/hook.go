package swarm

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// hookName is the name of the swarm service of a service's hook. There is one
// of each duty at a time: the swarm refuses a second one of the name.
func hookName(d service.Desired, duty service.Duty) string {
	return fmt.Sprintf("h-%s-%s-%s", d.Project, d.ID, duty)
}

// labelSwarmService is how the engine ties a container to its swarm service.
const labelSwarmService = "com.docker.swarm.service.id"

// StartHook has the swarm run a command once as d's containers would run; an
// init has all volumes writable. It does nothing when that rollout's is there,
// whether it runs or has ended.
//
// Errors: Busy while something of another one is there.
func (s *Swarm) StartHook(ctx context.Context, d service.Desired, duty service.Duty, command []string) error {
	node, err := s.Node(ctx)
	if err != nil {
		return fmt.Errorf("start the %s of %s: %w", duty, d.Spec.Name, err)
	}
	there, err := s.hooksOf(ctx, d.ID)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		h := there[0]
		if h.Duty == duty && h.Rollout == d.Rollout && !h.Leaves {
			return nil
		}
		return problem.New(problem.Busy, "the %s of r%d of %s is still there", h.Duty, h.Rollout, d.Spec.Name)
	}
	_, err = s.api.ServiceCreate(ctx, client.ServiceCreateOptions{Spec: translateHook(d, duty, command, node)})
	return starting(err, "start the %s of %s", duty, d.Spec.Name)
}

// translateHook is d's swarm service with another command, for once. Jobs of a
// swarm are not for that: one that failed runs again whenever the engine has
// been away, and one that is removed runs on (Engine 20.10). A task that shall
// not come back does neither.
func translateHook(d service.Desired, duty service.Duty, command []string, node spec.NodeID) swarm.ServiceSpec {
	s, m, once, grace := translate(d, node), markOf(d), uint64(1), defaultGrace
	m.kind = kindHook
	s.Name, s.Labels = hookName(d, duty), m.labels(nil)
	s.Mode, s.UpdateConfig = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &once}}, nil
	t := &s.TaskTemplate
	t.RestartPolicy = &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionNone}
	t.Resources.Reservations = nil // what it takes the place of may still run
	// It has no name: who calls the service shall find the service.
	t.Networks = []swarm.NetworkAttachmentConfig{{Target: d.Network}}
	c := t.ContainerSpec
	c.Labels, c.Command, c.Args = m.labels(d.Spec.Labels), command[:1], command[1:]
	c.Hostname, c.TTY, c.OpenStdin, c.StopGracePeriod = "", false, false, &grace
	c.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	for i := range c.Mounts {
		if c.Mounts[i].Type == mount.TypeBind && duty == service.Init {
			c.Mounts[i].ReadOnly = false // what the service only reads, somebody has to fill
		}
	}
	return s
}

// hooksOf are the hooks of a service, and what is left of some.
func (s *Swarm) hooksOf(ctx context.Context, id spec.ServiceID) ([]service.Hook, error) {
	of := ours(labelKind+"="+kindHook, labelService+"="+string(id))
	tasks, err := s.api.TaskList(ctx, client.TaskListOptions{Filters: of})
	if err != nil {
		return nil, explain(err, "look for tasks of hooks")
	}
	containers, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: of})
	if err != nil {
		return nil, explain(err, "look for containers of hooks")
	}
	services, err := s.api.ServiceList(ctx, client.ServiceListOptions{Filters: of})
	if err != nil {
		return nil, explain(err, "look for hooks")
	}
	return seeHooks(services.Items, tasks.Items, containers.Items), nil
}

// seeHooks finds the hooks among what was listed, in this order: tasks,
// containers, services. What belongs to a swarm service that is still there at
// the end had ended by itself, if it had. Newest first.
func seeHooks(services []swarm.Service, tasks []swarm.Task, containers []container.Summary) []service.Hook {
	seen := map[string]*seenHook{}
	of := func(id string, m mark) *seenHook {
		h := seen[id]
		if h == nil {
			h = &seenHook{hook: service.Hook{Duty: service.Init, Environment: m.environment, Project: m.project, Service: m.service, Rollout: m.rollout}}
			seen[id] = h
		}
		return h
	}
	for _, s := range services {
		if m := readMark(s.Spec.Labels); m.kind == kindHook {
			h := of(s.ID, m)
			h.hook.SwarmID, h.hook.Created = s.ID, s.CreatedAt
			h.named(s.Spec.Name)
		}
	}
	for _, t := range tasks {
		if c := t.Spec.ContainerSpec; c != nil && readMark(c.Labels).kind == kindHook {
			h := of(t.ServiceID, readMark(c.Labels))
			if h.task == nil || t.CreatedAt.After(h.task.CreatedAt) {
				h.task = &t
			}
		}
	}
	for _, c := range containers {
		if m := readMark(c.Labels); m.kind == kindHook {
			h := of(cmp.Or(c.Labels[labelSwarmService], c.ID), m)
			h.box, h.hook.Container = &c, c.ID
			for _, name := range c.Names {
				h.named(strings.TrimPrefix(name, "/"))
			}
		}
	}
	var hooks []service.Hook
	for _, h := range seen {
		hooks = append(hooks, h.folded())
	}
	slices.SortFunc(hooks, func(a, b service.Hook) int { return b.Created.Compare(a.Created) })
	return hooks
}

// seenHook is a hook in the making.
type seenHook struct {
	hook service.Hook
	task *swarm.Task        // nil when none was seen
	box  *container.Summary // nil when none was seen
}

// named learns the duty from the name of its service or container.
func (h *seenHook) named(name string) {
	whole, _, _ := strings.Cut(name, ".")
	if strings.HasSuffix(whole, "-"+string(service.Upgrade)) {
		h.hook.Duty = service.Upgrade
	}
}

// folded says where the hook stands.
func (h *seenHook) folded() service.Hook {
	hook := h.hook
	if hook.Created.IsZero() && h.box != nil {
		hook.Created = time.Unix(h.box.Created, 0)
	}
	switch {
	case hook.SwarmID != "":
		hook.State, hook.Error = h.standing()
	case h.box == nil || h.box.Labels[labelSwarmService] != "":
		hook.State, hook.Leaves = h.leaving(), true
	case h.box.State == container.StateCreated: // a plain container, as hooks once were
		hook.State, hook.Error = service.Failed, "it was never started"
	case over(h.box.State):
		hook.State = service.Complete
	default:
		hook.State = service.Running
	}
	if hook.State == service.Running {
		hook.Began = h.began()
	}
	return hook
}

// began is when a hook that runs began to: the list of containers says when
// they were made, and a busy engine takes its time to start one.
func (h *seenHook) began() time.Time {
	switch {
	case h.task != nil && h.task.Status.State == swarm.TaskStateRunning:
		return h.task.Status.Timestamp
	case h.task == nil && h.box != nil:
		return time.Unix(h.box.Created, 0)
	}
	return time.Time{} // the swarm has not yet seen it run
}

// leaving is where a hook stands that was removed.
func (h *seenHook) leaving() service.State {
	switch {
	case h.box != nil && h.box.State != container.StateCreated && !over(h.box.State):
		return service.Running
	case h.task != nil && !states[h.task.Status.State].Ended() && (h.box == nil || !over(h.box.State)):
		return service.Waiting // its container may yet start
	}
	return service.Stopped
}

// standing is where a hook stands whose swarm service is there, and what went
// wrong with it.
func (h *seenHook) standing() (service.State, string) {
	started := h.box != nil && h.box.State != container.StateCreated
	if h.task == nil {
		switch {
		case !started:
			return service.Waiting, ""
		case over(h.box.State):
			return service.Complete, "" // the swarm keeps no history
		}
		return service.Running, ""
	}
	state, words, code := states[h.task.Status.State], h.task.Status.Err, 0
	if c := h.task.Status.ContainerStatus; c != nil {
		code = c.ExitCode
		started = started || h.box == nil && c.ContainerID != ""
	}
	switch {
	case !state.Ended() && !started:
		return service.Waiting, words
	case !state.Ended() || h.box != nil && started && !over(h.box.State):
		return service.Running, ""
	case !started && code != cannotRun && code != notFound:
		return service.Failed, cmp.Or(words, "it could not be started")
	case state == service.Complete:
		return service.Complete, ""
	}
	return service.Complete, cmp.Or(words, "the swarm ended it")
}

// The codes of a command that cannot be run, now or later (moby,
// daemon/start.go, setExitCodeFromError).
const (
	cannotRun = 126
	notFound  = 127
)

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

// RemoveHook takes a hook away, also one that runs: at once, whatever time it
// would take to stop. Snapshot shows what is left of it until that is gone. It
// is no error when there is none.
func (s *Swarm) RemoveHook(ctx context.Context, h service.Hook) error {
	if h.SwarmID != "" {
		if err := s.RemoveService(ctx, h.SwarmID); err != nil {
			return err
		}
	}
	if h.Container == "" {
		return nil
	}
	return s.removeContainer(ctx, h.Container)
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

// MakeCarrier makes one; RemoveCarrier takes it away.
func (s *Swarm) MakeCarrier(ctx context.Context, c Carrier) (id string, err error) {
	o := client.ContainerCreateOptions{
		Name:       fmt.Sprintf("h-%s-%s%s%s", c.Project, c.Service, carrierRole, strings.ToLower(rand.Text()[:10])),
		Config:     &container.Config{Image: c.Image, Entrypoint: []string{dockercall.NeverStarted}, Labels: mark{kind: kindCarrier, environment: c.Environment, project: c.Project, service: c.Service, rollout: 1}.labels(nil)},
		HostConfig: &container.HostConfig{NetworkMode: "none", LogConfig: container.LogConfig{Type: logDriver.Name, Config: logDriver.Options}},
	}
	img, err := s.api.ImageInspect(ctx, c.Image)
	if err != nil {
		return "", explain(err, "make a way to the volumes")
	}
	// The guard wants something at each volume of the image. Memory does: it is
	// mounted at a start only.
	for _, at := range imageOf(img.InspectResponse).Volumes {
		if at = path.Clean(at); !slices.ContainsFunc(c.Binds, func(b service.Bind) bool { return b.Target == at }) {
			o.HostConfig.Mounts = append(o.HostConfig.Mounts, mount.Mount{Type: mount.TypeTmpfs, Target: at})
		}
	}
	for _, b := range c.Binds {
		o.HostConfig.Mounts = append(o.HostConfig.Mounts, mount.Mount{Type: mount.TypeBind, Source: b.Source, Target: b.Target})
	}
	r, err := s.api.ContainerCreate(ctx, o)
	return r.ID, explain(err, "make a way to the volumes")
}

// RemoveCarrier takes one away. It is no error when there is none.
func (s *Swarm) RemoveCarrier(ctx context.Context, id string) error {
	return s.removeContainer(ctx, id)
}

// RemoveCarriers removes those that a killed server left.
func (s *Swarm) RemoveCarriers(ctx context.Context) error {
	r, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours(labelKind + "=" + kindCarrier)})
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
