package swarm

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/problem"
	"havre/internal/service"
)

// updateTries bounds how often a change is tried anew that came in between
// two other changes.
const updateTries = 5

// StartService makes the swarm service of a rollout, unless it is there.
//
// Errors: Denied when the guard refuses it, with its rule; Unavailable when a
// network of it is gone.
func (s *Swarm) StartService(ctx context.Context, d service.Desired) error {
	node, err := s.Node(ctx)
	if err != nil {
		return fmt.Errorf("start service %s: %w", d.Name(), err)
	}
	_, err = s.api.ServiceCreate(ctx, client.ServiceCreateOptions{Spec: translate(d, node)})
	err = starting(err, "start service %s", d.Name())
	if problem.KindOf(err) != problem.Conflict {
		return err
	}
	// The name is taken: by an earlier call of this rollout, or by a stranger.
	r, lerr := s.api.ServiceList(ctx, client.ServiceListOptions{Filters: ours(labelKind+"="+kindService).Add("name", d.Name())})
	if lerr != nil {
		return explain(lerr, "look for service %s", d.Name())
	}
	for _, there := range r.Items {
		if there.Spec.Name == d.Name() {
			return nil
		}
	}
	return err
}

// ScaleService sets how many containers a swarm service has.
//
// Errors: NotFound when there is no such service.
func (s *Swarm) ScaleService(ctx context.Context, swarmID string, replicas int) error {
	return s.change(ctx, "scale", swarmID, func(spec *swarm.ServiceSpec) bool {
		n := uint64(max(0, replicas))
		if r := spec.Mode.Replicated; r != nil && r.Replicas != nil && *r.Replicas == n {
			return false
		}
		spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &n}}
		return true
	})
}

// RestartService remakes the containers of a swarm service: one by one, the
// new first; of one that writes to volumes or is to be alone the old stops first.
//
// Errors: NotFound when there is no such service.
func (s *Swarm) RestartService(ctx context.Context, swarmID string) error {
	return s.change(ctx, "restart", swarmID, func(spec *swarm.ServiceSpec) bool {
		spec.TaskTemplate.ForceUpdate++
		return true
	})
}

// RemoveService takes a swarm service away. Its containers stop afterwards;
// Snapshot shows them until they are gone. It is no error when there is none.
func (s *Swarm) RemoveService(ctx context.Context, swarmID string) error {
	_, err := s.api.ServiceRemove(ctx, swarmID, client.ServiceRemoveOptions{})
	if err = explain(err, "remove service %s", swarmID); problem.KindOf(err) == problem.NotFound {
		return nil
	}
	return err
}

// change does one change to a swarm service as it is now.
func (s *Swarm) change(ctx context.Context, verb, swarmID string, edit func(*swarm.ServiceSpec) bool) error {
	var err error
	for range updateTries {
		var r client.ServiceInspectResult
		r, err = s.api.ServiceInspect(ctx, swarmID, client.ServiceInspectOptions{})
		if err != nil {
			break
		}
		want := r.Service.Spec
		if !edit(&want) {
			return nil
		}
		asWritten(&want)
		_, err = s.api.ServiceUpdate(ctx, swarmID, client.ServiceUpdateOptions{Version: r.Service.Version, Spec: want})
		if err == nil || !outOfSequence(err) {
			break
		}
	}
	return explain(err, "%s service %s", verb, swarmID)
}

// asWritten takes out what the guard and the engine put in.
func asWritten(s *swarm.ServiceSpec) {
	s.Labels = withoutInstance(s.Labels)
	s.TaskTemplate.Runtime = ""
	if c := s.TaskTemplate.ContainerSpec; c != nil {
		c.Labels = withoutInstance(c.Labels)
		c.Isolation = ""
	}
}

func withoutInstance(labels map[string]string) map[string]string {
	rest := maps.Clone(labels)
	delete(rest, labelInstance)
	return rest
}

// outOfSequence tells whether someone else changed the service in between. An
// engine says so by its words only (SwarmKit, ErrSequenceConflict).
func outOfSequence(err error) bool {
	return strings.Contains(err.Error(), "update out of sequence")
}
