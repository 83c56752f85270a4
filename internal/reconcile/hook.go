package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// A service's init runs while one of its volumes is new. That it did its work
// is believed in this order only: its container has ended well, the volumes
// are marked as filled, the record is saved, the container goes. Whoever is
// killed in between leaves the container, and the next pass goes on from it.

// initFailed is what an init that did not do its work ends a start with.
type initFailed struct {
	reason string
	lines  []string
}

func (e *initFailed) Error() string { return e.reason }

// linesKept is how many of its last lines are remembered.
const linesKept = 20

// hooks looks after the inits of one project that are there: those that have
// done their work, and those that nobody wants any more.
func (w *work) hooks(ctx context.Context, r *project.Record) {
	for _, h := range w.view.Snapshot.Hooks {
		if h.Project == r.ID {
			w.failed("the init of a service of "+r.Name, w.hook(ctx, r, h))
		}
	}
}

func (w *work) hook(ctx context.Context, r *project.Record, h service.Hook) error {
	i := slices.IndexFunc(r.Present(), func(s *project.Service) bool { return s.ID == h.Service })
	if h.State == service.Complete && i >= 0 {
		done, err := w.harvest(ctx, r, h)
		if err != nil || done {
			return err
		}
	}
	if i >= 0 {
		if s := r.Present()[i]; !s.Stopped && s.Target == h.Rollout && s.Active != h.Rollout {
			w.busy = w.busy || h.State == service.Running
			return nil
		}
	}
	w.busy = true
	return w.loop.hands.RemoveHook(ctx, h.Container)
}

// harvest makes the volumes of an init that did its work such that are new no
// more.
func (w *work) harvest(ctx context.Context, r *project.Record, h service.Hook) (done bool, err error) {
	end, err := w.loop.hands.HookEnding(ctx, h.Container)
	if problem.KindOf(err) == problem.NotFound || err == nil && end.State != service.Complete {
		return false, nil
	}
	ro := rollout(r, project.Action{Service: h.Service, Step: service.Step{Rollout: h.Rollout}})
	if err != nil || ro == nil {
		return false, err
	}
	if err := w.settle(ctx, r, volumesOf(ro.Spec)); err != nil {
		return false, err
	}
	w.busy = true
	if err := w.save(ctx, r, project.Action{Service: h.Service, Step: service.Step{Verb: service.Filled, Rollout: h.Rollout}}, nil); err != nil {
		return false, err
	}
	w.view.Snapshot.Hooks = slices.DeleteFunc(slices.Clone(w.view.Snapshot.Hooks), func(o service.Hook) bool { return o.Container == h.Container })
	return true, w.loop.hands.RemoveHook(ctx, h.Container)
}

func (w *work) settle(ctx context.Context, r *project.Record, volumes []string) error {
	for _, v := range volumes {
		if err := w.loop.hands.SettleVolume(ctx, r.Environment, r.ID, v); err != nil {
			return fmt.Errorf("volume %s: %w", v, err)
		}
	}
	return nil
}

func volumesOf(s spec.Service) []string {
	var names []string
	for _, m := range s.Mounts {
		if m.Kind == spec.Volume {
			names = append(names, m.Source)
		}
	}
	return names
}

// fill brings new volumes to where the service may start on them, and tells
// whether they are there. Where others share a volume that is being filled,
// they wait.
// Errors: initFailed.
func (w *work) fill(ctx context.Context, r *project.Record, d service.Desired, unfilled []string) (bool, error) {
	if len(unfilled) == 0 {
		return true, nil
	}
	for _, h := range w.view.Snapshot.Hooks {
		if h.Project == r.ID && h.Service != d.ID && h.State != service.Complete && w.shares(r, h, unfilled) {
			return false, nil
		}
	}
	ro := r.ByID(d.ID).Rollout(d.Rollout)
	command := ro.InitCommand()
	if command == nil {
		return true, w.settle(ctx, r, unfilled)
	}
	for _, h := range w.view.Snapshot.Hooks {
		if h.Service != d.ID || h.State != service.Complete {
			continue
		}
		if err := w.judgeEnd(ctx, ro, h, command); err != nil {
			return false, err
		}
		if err := w.loop.hands.RemoveHook(ctx, h.Container); err != nil { // the person asked again
			return false, err
		}
	}
	// Others of this pass must see that it is on its way.
	w.view.Snapshot.Hooks = append(slices.Clone(w.view.Snapshot.Hooks), service.Hook{Project: r.ID, Service: d.ID, Rollout: d.Rollout, State: service.Running})
	return false, w.loop.hands.StartHook(ctx, d, command)
}

func (w *work) shares(r *project.Record, h service.Hook, volumes []string) bool {
	ro := rollout(r, project.Action{Service: h.Service, Step: service.Step{Rollout: h.Rollout}})
	return ro != nil && slices.ContainsFunc(volumesOf(ro.Spec), func(v string) bool { return slices.Contains(volumes, v) })
}

// judgeEnd is the failure of an init that ran for this rollout since it was
// last asked for. It is not tried again by itself.
func (w *work) judgeEnd(ctx context.Context, ro *project.Rollout, h service.Hook, command []string) error {
	if h.Rollout != ro.Number || h.Created.Before(ro.Started.Truncate(1e9)) {
		return nil
	}
	end, err := w.loop.hands.HookEnding(ctx, h.Container)
	if problem.KindOf(err) == problem.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if end.State == service.Complete {
		return errors.New("its init has just done its work") // the next pass takes that in
	}
	lines, err := w.loop.hands.LastLines(ctx, h.Container, linesKept)
	if err != nil {
		lines = nil // the reason is worth more than they are
	}
	how := service.Ending(end)
	if end.ExitCode == 0 && !end.OOM && end.Error == "" {
		how = "the engine died under it"
	}
	return &initFailed{fmt.Sprintf("its init %s did not fill its volumes: %s", command[0], how), lines}
}
