package swarm_test

import (
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	engine "github.com/moby/moby/api/types/swarm"

	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/swarm"
)

// A hook misses nothing of its service but what would make others take it for
// that, and what would bring it back.
func TestHookIsItsServiceOnceAndWithoutAName(t *testing.T) {
	d := example()
	d.Variables = []string{"FORMAT={{.Name}}"}
	whole := swarm.Translate(d, "node")
	for _, duty := range []service.Duty{service.Init, service.Upgrade} {
		s := swarm.TranslateHook(d, duty, []string{"/migrate", "--all"}, "node")
		c, of := s.TaskTemplate.ContainerSpec, whole.TaskTemplate.ContainerSpec
		if s.Name != "h-aaaaaaa2-bbbbbbb2-"+string(duty) || s.Labels["havre.kind"] != "hook" || c.Labels["havre.kind"] != "hook" || c.Labels["havre.rollout"] != "3" || c.Labels["who"] != "me" {
			t.Errorf("%s: %s is labelled %v and %v", duty, s.Name, s.Labels, c.Labels)
		}
		if !slices.Equal(c.Command, []string{"/migrate"}) || !slices.Equal(c.Args, []string{"--all"}) {
			t.Errorf("%s: it runs %q %q", duty, c.Command, c.Args)
		}
		if len(c.Secrets) != 1 || len(c.Configs) != 1 || !slices.Equal(c.Env, of.Env) || c.User != of.User || len(c.Mounts) != len(of.Mounts) {
			t.Errorf("%s: it misses something of its service: %+v", duty, c)
		}
		if r := s.Mode.Replicated; r == nil || *r.Replicas != 1 || s.UpdateConfig != nil || s.TaskTemplate.RestartPolicy.Condition != engine.RestartPolicyConditionNone {
			t.Errorf("%s: it comes back: %+v, %+v", duty, s.Mode, s.TaskTemplate.RestartPolicy)
		}
		if n := s.TaskTemplate.Networks; len(n) != 1 || n[0].Target != d.Network || len(n[0].Aliases) > 0 || c.Hostname != "" {
			t.Errorf("%s: it has names: %+v, %q", duty, n, c.Hostname)
		}
		bind := c.Mounts[slices.IndexFunc(c.Mounts, func(m mount.Mount) bool { return m.Type == mount.TypeBind })]
		if bind.ReadOnly != (duty == service.Upgrade) {
			t.Errorf("%s: that its volume is read-only is %v", duty, bind.ReadOnly)
		}
	}
}

func TestHookStandsWhereItsTaskAndItsContainerSay(t *testing.T) {
	const id = "sssssssssssssssssssssssss"
	at := time.Unix(1700000000, 0)
	labels := map[string]string{"havre.kind": "hook", "havre.env": "prod", "havre.project": "aaaaaaa2", "havre.service": "bbbbbbb2", "havre.rollout": "3"}
	task := func(state engine.TaskState, words string, status *engine.ContainerStatus) *engine.Task {
		return &engine.Task{ID: "t", ServiceID: id, Spec: engine.TaskSpec{ContainerSpec: &engine.ContainerSpec{Labels: labels}},
			Status: engine.TaskStatus{Timestamp: at.Add(time.Minute), State: state, Err: words, ContainerStatus: status}}
	}
	box := func(state container.ContainerState) *container.Summary {
		of := map[string]string{"com.docker.swarm.service.id": id}
		for k, v := range labels {
			of[k] = v
		}
		return &container.Summary{ID: "c", Names: []string{"/h-aaaaaaa2-bbbbbbb2-upgrade.1.t"}, Labels: of, State: state, Created: at.Unix()}
	}
	plain := func(state container.ContainerState) *container.Summary {
		return &container.Summary{ID: "c", Names: []string{"/h-aaaaaaa2-bbbbbbb2-upgrade"}, Labels: labels, State: state, Created: at.Unix()}
	}
	code := func(n int) *engine.ContainerStatus { return &engine.ContainerStatus{ContainerID: "c", ExitCode: n} }
	for says, c := range map[string]struct {
		there bool // its swarm service
		task  *engine.Task
		box   *container.Summary
		want  service.Hook // of it State, Error and Leaves
	}{
		"made":                        {true, nil, nil, service.Hook{State: service.Waiting}},
		"not placed":                  {true, task(engine.TaskStatePending, "no node", nil), nil, service.Hook{State: service.Waiting, Error: "no node"}},
		"not started":                 {true, task(engine.TaskStateStarting, "", code(0)), box(container.StateCreated), service.Hook{State: service.Waiting}},
		"runs":                        {true, task(engine.TaskStateStarting, "", nil), box(container.StateRunning), service.Hook{State: service.Running}},
		"ended, the swarm not told":   {true, task(engine.TaskStateRunning, "", nil), box(container.StateExited), service.Hook{State: service.Running}},
		"ended":                       {true, task(engine.TaskStateComplete, "", code(0)), box(container.StateExited), service.Hook{State: service.Complete}},
		"ended with a code":           {true, task(engine.TaskStateFailed, "task: non-zero exit (3)", code(3)), box(container.StateExited), service.Hook{State: service.Complete, Error: "task: non-zero exit (3)"}},
		"was ended":                   {true, task(engine.TaskStateShutdown, "", code(0)), box(container.StateExited), service.Hook{State: service.Complete, Error: "the swarm ended it"}},
		"the task is given up alone":  {true, task(engine.TaskStateOrphaned, "", nil), box(container.StateRunning), service.Hook{State: service.Running}},
		"ended, and its container is": {true, task(engine.TaskStateFailed, "task: non-zero exit (3)", code(3)), nil, service.Hook{State: service.Complete, Error: "task: non-zero exit (3)"}},
		"ended, and no history":       {true, nil, box(container.StateExited), service.Hook{State: service.Complete}},
		"runs, and no history":        {true, nil, box(container.StateRunning), service.Hook{State: service.Running}},
		"rejected":                    {true, task(engine.TaskStateRejected, "no attachments", nil), nil, service.Hook{State: service.Failed, Error: "no attachments"}},
		"rejected without words":      {true, task(engine.TaskStateRejected, "", nil), nil, service.Hook{State: service.Failed, Error: "it could not be started"}},
		"no network to start on":      {true, task(engine.TaskStateFailed, "no network", code(128)), box(container.StateCreated), service.Hook{State: service.Failed, Error: "no network"}},
		"there is no such command":    {true, task(engine.TaskStateFailed, "no such file", code(127)), box(container.StateCreated), service.Hook{State: service.Complete, Error: "no such file"}},
		"removed while it runs":       {false, task(engine.TaskStateRunning, "", nil), box(container.StateRunning), service.Hook{State: service.Running, Leaves: true}},
		"removed before it ran":       {false, task(engine.TaskStatePreparing, "", nil), nil, service.Hook{State: service.Waiting, Leaves: true}},
		"removed, and ended politely": {false, task(engine.TaskStateComplete, "", code(0)), box(container.StateExited), service.Hook{State: service.Stopped, Leaves: true}},
		"forgotten by the swarm":      {false, nil, box(container.StateRunning), service.Hook{State: service.Running, Leaves: true}},
		"a plain one that runs":       {false, nil, plain(container.StateRunning), service.Hook{State: service.Running}},
		"a plain one that ended":      {false, nil, plain(container.StateExited), service.Hook{State: service.Complete}},
		"a plain one, not started":    {false, nil, plain(container.StateCreated), service.Hook{State: service.Failed, Error: "it was never started"}},
	} {
		var services []engine.Service
		if c.there {
			services = append(services, engine.Service{ID: id, Meta: engine.Meta{CreatedAt: at}, Spec: engine.ServiceSpec{Annotations: engine.Annotations{Name: "h-aaaaaaa2-bbbbbbb2-upgrade", Labels: labels}}})
			c.want.SwarmID = id
		}
		var tasks []engine.Task
		if c.task != nil {
			tasks = append(tasks, *c.task)
		}
		var boxes []container.Summary
		if c.box != nil {
			boxes = append(boxes, *c.box)
			c.want.Container = "c"
		}
		c.want.Environment, c.want.Project, c.want.Service, c.want.Rollout = "prod", "aaaaaaa2", spec.ServiceID("bbbbbbb2"), 3
		got := swarm.SeeHooks(services, tasks, boxes)
		if len(got) != 1 {
			t.Errorf("%s: %+v", says, got)
			continue
		}
		if known := c.there || c.box != nil; known != (got[0].Duty == service.Upgrade) || known == got[0].Created.IsZero() {
			t.Errorf("%s: it is the %s, of %s", says, got[0].Duty, got[0].Created)
		}
		began := got[0].Began
		if c.task != nil && c.task.Status.State == engine.TaskStateRunning && c.want.State == service.Running && !began.Equal(c.task.Status.Timestamp) || c.want.State != service.Running && !began.IsZero() {
			t.Errorf("%s: it began at %s", says, began)
		}
		got[0].Duty, got[0].Created, got[0].Began = "", time.Time{}, time.Time{}
		if got[0] != c.want {
			t.Errorf("%s: %+v, want %+v", says, got[0], c.want)
		}
	}
}

func TestWhatIsOfNoHookIsNotSeen(t *testing.T) {
	labels := map[string]string{"havre.kind": "service", "havre.service": "bbbbbbb2"}
	got := swarm.SeeHooks([]engine.Service{{ID: "s", Spec: engine.ServiceSpec{Annotations: engine.Annotations{Labels: labels}}}},
		[]engine.Task{{ServiceID: "s", Spec: engine.TaskSpec{ContainerSpec: &engine.ContainerSpec{Labels: labels}}}, {ServiceID: "s"}},
		[]container.Summary{{ID: "c", Labels: labels}})
	if len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
