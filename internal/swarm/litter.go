package swarm

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/problem"
)

// litterAge is how old a container must be that was made, never started and is
// nobody's: a younger one may be of a task that our list of tasks just missed.
const litterAge = 30 * time.Second

// neverStarts tells whether c is what an engine leaves that died between making
// a container and starting it. Once the swarm has forgotten its task nobody
// will ever start it.
func neverStarts(c container.Summary, now time.Time) bool {
	return c.State == container.StateCreated && now.Sub(time.Unix(c.Created, 0)) > litterAge
}

// TidyContainers removes containers of ours that will never be started.
func (s *Swarm) TidyContainers(ctx context.Context) error {
	tasks, err := s.api.TaskList(ctx, client.TaskListOptions{Filters: ours(labelKind + "=" + kindService)})
	if err != nil {
		return explain(err, "list tasks")
	}
	containers, err := s.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours(labelKind + "=" + kindService)})
	if err != nil {
		return explain(err, "list containers")
	}
	var wrong []error
	for _, c := range containers.Items {
		known := slices.ContainsFunc(tasks.Items, func(t swarm.Task) bool { return t.ID == c.Labels[labelSwarmTask] })
		if known || !neverStarts(c, time.Now()) {
			continue
		}
		_, err := s.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{})
		if err = explain(err, "remove container %.12s", c.ID); problem.KindOf(err) != problem.NotFound {
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}
