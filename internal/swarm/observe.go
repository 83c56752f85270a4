package swarm

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/service"
	"havre/internal/spec"
)

// labelSwarmTask is how the engine ties a container to its task.
const labelSwarmTask = "com.docker.swarm.task.id"

// Snapshot shows everything of ours. What still runs of a swarm service that
// is gone appears with an empty SwarmID. Tasks come newest first.
func (s *Swarm) Snapshot(ctx context.Context) (service.Snapshot, error) {
	at := time.Now()
	// In this order nothing is missed: a task's container is younger than the
	// task, and a service that goes meanwhile leaves tasks that are shown.
	tasks, err := s.api.TaskList(ctx, client.TaskListOptions{Filters: ours(labelKind)})
	if err != nil {
		return service.Snapshot{}, explain(err, "list tasks")
	}
	containers, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours(labelKind)})
	if err != nil {
		return service.Snapshot{}, explain(err, "list containers")
	}
	services, err := s.api.ServiceList(ctx, client.ServiceListOptions{Filters: ours(labelKind)})
	if err != nil {
		return service.Snapshot{}, explain(err, "list services")
	}
	networks, err := s.networks(ctx)
	if err != nil {
		return service.Snapshot{}, err
	}
	links := slices.DeleteFunc(slices.Clone(networks), func(n service.Network) bool { return !ofLink(n) })
	networks = slices.DeleteFunc(networks, ofLink)
	v := newView(containers.Items)
	v.addServices(services.Items)
	for _, t := range tasks.Items {
		if err := s.addTask(ctx, v, t); err != nil {
			return service.Snapshot{}, err
		}
	}
	v.addGhosts()
	hooks := seeHooks(services.Items, tasks.Items, containers.Items)
	v.addHooks(hooks)
	s.seen.keep(v.containers)
	return service.Snapshot{Services: v.sorted(), Networks: networks, Links: links, Portals: portalsOf(containers.Items), Hooks: hooks, At: at}, nil
}

// key tells rollouts apart.
type key struct {
	project spec.ProjectID
	service spec.ServiceID
	rollout int
}

func (m mark) key() key { return key{m.project, m.service, m.rollout} }

// view is a snapshot in the making.
type view struct {
	services   map[key]*service.Observed
	containers map[string]container.Summary
	shown      map[string]bool // containers that a task of the snapshot has
}

func newView(all []container.Summary) *view {
	v := &view{map[key]*service.Observed{}, map[string]container.Summary{}, map[string]bool{}}
	for _, c := range all {
		v.containers[c.ID] = c
	}
	return v
}

func (v *view) of(m mark) *service.Observed {
	o := v.services[m.key()]
	if o == nil {
		o = &service.Observed{Environment: m.environment, Project: m.project, ID: m.service, Rollout: m.rollout}
		v.services[m.key()] = o
	}
	return o
}

func (v *view) addServices(all []swarm.Service) {
	for _, s := range all {
		m := readMark(s.Spec.Labels)
		if m.kind != kindService {
			continue
		}
		o := v.of(m)
		o.SwarmID = s.ID
		if r := s.Spec.Mode.Replicated; r != nil && r.Replicas != nil {
			o.Replicas = int(*r.Replicas)
		}
		o.Networks = nil // what is made for the same rollout twice counts once
		for _, n := range s.Spec.TaskTemplate.Networks {
			o.Networks = append(o.Networks, n.Target)
		}
	}
}

// addGhosts shows containers that run although the swarm has forgotten their
// task. They may still write to a volume.
func (v *view) addGhosts() {
	for id, c := range v.containers {
		m := readMark(c.Labels)
		if m.kind != kindService || v.shown[id] || over(c.State) {
			continue
		}
		o, task, created := v.of(m), c.Labels[labelSwarmTask], time.Unix(c.Created, 0)
		if i := slices.IndexFunc(o.Tasks, func(t service.Task) bool { return t.ID == task }); i >= 0 {
			o.Tasks[i].Container, o.Tasks[i].Health = id, healthOf(c) // it was made between two of our questions
			continue
		}
		if neverStarts(c, time.Now()) {
			continue
		}
		o.Tasks = append(o.Tasks, service.Task{
			ID: task, Container: id, State: service.Running, Health: healthOf(c), Since: created, Created: created,
		})
	}
}

// addHooks shows hooks that run, or will, as containers of their rollout: they
// write to its volumes.
func (v *view) addHooks(hooks []service.Hook) {
	for _, h := range hooks {
		if !h.Live() {
			continue
		}
		t := service.Task{ID: cmp.Or(h.Container, h.SwarmID), Container: h.Container, State: service.Starting, Duty: h.Duty, Wanted: true, Since: h.Created, Created: h.Created}
		if h.State == service.Waiting {
			t.State, t.Error = service.Waiting, h.Error
		}
		o := v.of(mark{environment: h.Environment, project: h.Project, service: h.Service, rollout: h.Rollout})
		o.Tasks = append(o.Tasks, t)
	}
}

func (v *view) sorted() []service.Observed {
	var all []service.Observed
	for _, o := range v.services {
		slices.SortFunc(o.Tasks, func(a, b service.Task) int { return b.Created.Compare(a.Created) })
		if o.SwarmID != "" || len(o.Live()) > 0 {
			all = append(all, *o)
		}
	}
	slices.SortFunc(all, func(a, b service.Observed) int {
		return compareNames(service.Name(a.Project, a.ID, 0), service.Name(b.Project, b.ID, 0), a.Rollout-b.Rollout)
	})
	return all
}

func compareNames(a, b string, then int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return then
}

func (s *Swarm) addTask(ctx context.Context, v *view, t swarm.Task) error {
	if t.Spec.ContainerSpec == nil {
		return nil
	}
	m := readMark(t.Spec.ContainerSpec.Labels)
	if m.kind != kindService {
		return nil
	}
	task := fold(t, m.project)
	if c, there := v.containers[task.Container]; there {
		v.shown[c.ID] = true
		l, err := s.look(ctx, c)
		if err != nil {
			return err
		}
		task.Health, task.HealthLog, task.OOM = l.health, l.log, l.oom
		if over(c.State) {
			conclude(&task, l)
		}
	}
	o := v.of(m)
	o.Tasks = append(o.Tasks, task)
	return nil
}

// conclude adds to a task how its container ended, which the swarm learns
// later and less of.
func conclude(task *service.Task, l look) {
	if l.exit != 0 {
		task.ExitCode = l.exit
	}
	switch {
	case task.State == service.Complete && l.health == string(container.Unhealthy):
		// The swarm ends an unhealthy container; one that takes it politely
		// and exits with 0 has not completed anything.
		task.State = service.Failed
	case task.State.Ended():
	case !task.Wanted:
		task.State = service.Stopped
	case l.exit != 0 || l.health == string(container.Unhealthy):
		task.State = service.Failed
	default:
		task.State = service.Complete
	}
}

// fold puts into our words what the swarm itself knows of a task.
func fold(t swarm.Task, project spec.ProjectID) service.Task {
	task := service.Task{
		ID:      t.ID,
		Node:    spec.NodeID(t.NodeID),
		Slot:    t.Slot,
		State:   states[t.Status.State],
		Wanted:  t.DesiredState == swarm.TaskStateRunning || t.DesiredState == swarm.TaskStateReady,
		Error:   t.Status.Err,
		Since:   t.Status.Timestamp,
		Created: t.CreatedAt,
	}
	if task.State == "" { // a state of a newer engine; it may well run
		task.State = service.Starting
	}
	if c := t.Status.ContainerStatus; c != nil {
		task.Container, task.ExitCode = c.ContainerID, c.ExitCode
	}
	for _, a := range t.NetworksAttachments {
		if m := readMark(a.Network.Spec.Labels); m.kind == kindNetwork && m.project == project && len(a.Addresses) > 0 {
			task.Address = a.Addresses[0].Addr()
		}
	}
	return task
}

// states folds Swarm's (Docker API 1.41, TaskState) to ours.
var states = map[swarm.TaskState]service.State{
	swarm.TaskStateNew:       service.Waiting,
	swarm.TaskStateAllocated: service.Waiting,
	swarm.TaskStatePending:   service.Waiting,
	swarm.TaskStateAssigned:  service.Starting,
	swarm.TaskStateAccepted:  service.Starting,
	swarm.TaskStatePreparing: service.Starting,
	swarm.TaskStateReady:     service.Starting,
	swarm.TaskStateStarting:  service.Starting,
	swarm.TaskStateRunning:   service.Running,
	swarm.TaskStateComplete:  service.Complete,
	swarm.TaskStateFailed:    service.Failed,
	swarm.TaskStateRejected:  service.Failed,
	swarm.TaskStateOrphaned:  service.Failed,
	swarm.TaskStateShutdown:  service.Stopped,
	swarm.TaskStateRemove:    service.Stopped,
}
