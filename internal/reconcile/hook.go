package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// A service's init runs while one of its volumes is new; its upgrade runs after
// that, when another image served before. That one did its work is believed in
// this order only: its container has ended well, the volumes are marked as
// filled (by an init), the record is saved, the hook goes. Whoever is killed in
// between leaves the container, and the next pass goes on from it.

// hookFailed is what a hook that did not do its work ends a start with.
type hookFailed struct {
	reason string
	lines  []string
}

func (e *hookFailed) Error() string { return e.reason }

// linesKept is how many of its last lines are remembered.
const linesKept = 20

// hooks looks after the hooks of one project that are there: those that have
// done their work, and those that nobody wants any more.
func (w *work) hooks(ctx context.Context, r *project.Record) {
	for _, h := range w.view.Snapshot.Hooks {
		if h.Project == r.ID {
			w.failed("the "+string(h.Duty)+" of a service of "+r.Name, w.hook(ctx, r, h))
		}
	}
}

func (w *work) hook(ctx context.Context, r *project.Record, h service.Hook) error {
	i := slices.IndexFunc(r.Present(), func(s *project.Service) bool { return s.ID == h.Service })
	if h.State == service.Complete && h.Error == "" && !h.Leaves && i >= 0 {
		done, err := w.harvest(ctx, r, h)
		if err != nil || done {
			return err
		}
	}
	if i >= 0 && !h.Leaves {
		s := r.Present()[i]
		ro := s.Rollout(h.Rollout)
		ended := h.Live() && ro != nil && ro.State == project.Failed
		if !s.Stopped && s.Target == h.Rollout && s.Active != h.Rollout && !ended {
			w.busy = w.busy || h.Live()
			return w.overdue(ctx, r, s, h)
		}
	}
	w.busy = true
	return w.loop.hands.RemoveHook(ctx, h)
}

// harvest takes in what a hook that did its work has done: volumes that are new
// no more, or data that is as the image wants it.
func (w *work) harvest(ctx context.Context, r *project.Record, h service.Hook) (done bool, err error) {
	end, err := w.loop.hands.HookEnding(ctx, h.Container)
	if problem.KindOf(err) == problem.NotFound || err == nil && end.State != service.Complete {
		return false, nil
	}
	ro := rollout(r, project.Action{Service: h.Service, Step: service.Step{Rollout: h.Rollout}})
	if err != nil || ro == nil {
		return false, err
	}
	did := service.Upgraded
	if h.Duty == service.Init {
		did = service.Filled
		if err := w.settle(ctx, r, volumesOf(ro.Spec)); err != nil {
			return false, err
		}
	}
	w.busy = true
	if err := w.save(ctx, r, project.Action{Service: h.Service, Step: service.Step{Verb: did, Rollout: h.Rollout}}, nil); err != nil {
		return false, err
	}
	w.view.Snapshot.Hooks = slices.DeleteFunc(slices.Clone(w.view.Snapshot.Hooks), func(o service.Hook) bool { return o == h })
	return true, w.loop.hands.RemoveHook(ctx, h)
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
// Errors: hookFailed.
func (w *work) fill(ctx context.Context, r *project.Record, d service.Desired, unfilled []string) (bool, error) {
	if len(unfilled) == 0 {
		return true, nil
	}
	for _, h := range w.view.Snapshot.Hooks {
		if h.Project == r.ID && h.Service != d.ID && h.Live() && w.shares(r, h, unfilled) {
			return false, nil
		}
	}
	ro := r.ByID(d.ID).Rollout(d.Rollout)
	if ro.InitCommand() == nil {
		return true, w.settle(ctx, r, unfilled)
	}
	return false, w.once(ctx, ro, d, service.Init)
}

// upgrade brings the data of what served before to another image, and tells
// whether the service may start on it.
// Errors: hookFailed.
func (w *work) upgrade(ctx context.Context, r *project.Record, d service.Desired) (bool, error) {
	s := r.ByID(d.ID)
	ro := s.Rollout(d.Rollout)
	if s.UpgradeCommand(ro) == nil {
		return true, nil
	}
	return false, w.once(ctx, ro, d, service.Upgrade)
}

// once has a hook run, or says how it failed.
// Errors: hookFailed.
func (w *work) once(ctx context.Context, ro *project.Rollout, d service.Desired, duty service.Duty) error {
	command, goes := commandOf(ro, duty), false
	for _, h := range w.view.Snapshot.Hooks {
		if h.Service != d.ID || h.Duty != duty || h.Live() && !h.Leaves {
			continue
		}
		if h.State == service.Complete && !h.Leaves {
			if err := w.judgeEnd(ctx, ro, h, command); err != nil {
				return err
			}
		}
		goes = true
		if err := w.loop.hands.RemoveHook(ctx, h); err != nil { // the person asked again
			return err
		}
		if h.State == service.Failed && !h.Leaves && asked(ro, h) {
			return fmt.Errorf("its %s %s could not be started: %s", duty, command[0], h.Error) // and is tried again
		}
	}
	if goes {
		return nil // the next pass sees it gone
	}
	if ro.State == project.Failed {
		return nil // nobody asked again
	}
	// Others of this pass must see that it is on its way.
	w.view.Snapshot.Hooks = append(slices.Clone(w.view.Snapshot.Hooks), service.Hook{Duty: duty, Project: d.Project, Service: d.ID, Rollout: d.Rollout, State: service.Running})
	return w.loop.hands.StartHook(ctx, d, duty, command)
}

// overdue gives a rollout up whose hook runs for longer than it may. Its time
// counts from when it runs; a busy engine has as long to get that far as for
// any start. That it failed is saved first; then its container goes.
func (w *work) overdue(ctx context.Context, r *project.Record, s *project.Service, h service.Hook) error {
	ro := s.Rollout(h.Rollout)
	began := h.Began
	if began.IsZero() {
		began = h.Created.Add(service.Patience)
	}
	if !h.Live() || ro.State != project.Pending || time.Since(began) <= ro.HookLimit(h.Duty) {
		return nil
	}
	lines, err := w.loop.hands.LastLines(ctx, h.Container, linesKept)
	if err != nil {
		lines = nil // the reason is worth more than they are
	}
	why := fmt.Sprintf("its %s %s %s within %v, and was ended; x-havre.%s.timeout says how long it may take", h.Duty, commandOf(ro, h.Duty)[0], vain(h.Duty), ro.HookLimit(h.Duty), h.Duty)
	return w.giveUp(ctx, r, project.Action{Service: s.ID, Name: s.Name, Step: service.Step{Rollout: h.Rollout}}, &hookFailed{why, lines})
}

func (w *work) shares(r *project.Record, h service.Hook, volumes []string) bool {
	ro := rollout(r, project.Action{Service: h.Service, Step: service.Step{Rollout: h.Rollout}})
	return ro != nil && slices.ContainsFunc(volumesOf(ro.Spec), func(v string) bool { return slices.Contains(volumes, v) })
}

// judgeEnd is the failure of a hook that ran for this rollout since it was
// last asked for. It is not tried again by itself.
func (w *work) judgeEnd(ctx context.Context, ro *project.Rollout, h service.Hook, command []string) error {
	if !asked(ro, h) {
		return nil
	}
	end, err := w.loop.hands.HookEnding(ctx, h.Container)
	if k := problem.KindOf(err); h.Error != "" && (k == problem.NotFound || k == problem.Busy) {
		end, err = service.Task{Error: h.Error}, nil // its container is gone or never ran, but the swarm knows
	}
	if problem.KindOf(err) == problem.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if end.State == service.Complete && h.Error == "" {
		return errors.New("its " + string(h.Duty) + " has just done its work") // the next pass takes that in
	}
	lines, err := w.loop.hands.LastLines(ctx, h.Container, linesKept)
	if err != nil {
		lines = nil // the reason is worth more than they are
	}
	how := service.Ending(end)
	if end.ExitCode == 0 && !end.OOM && end.Error == "" {
		how = cmp.Or(h.Error, "the engine died under it")
	}
	return &hookFailed{fmt.Sprintf("its %s %s %s: %s", h.Duty, command[0], vain(h.Duty), how), lines}
}

// asked tells whether h ran, or should have, for ro since it was last asked for.
func asked(ro *project.Rollout, h service.Hook) bool {
	return h.Rollout == ro.Number && !h.Created.Before(ro.Started.Truncate(1e9))
}

// vain is what a hook did not do.
func vain(duty service.Duty) string {
	if duty == service.Upgrade {
		return "did not bring its data to the new image"
	}
	return "did not fill its volumes"
}

// commandOf is the command of a rollout's hook.
func commandOf(ro *project.Rollout, duty service.Duty) []string {
	if duty == service.Upgrade {
		return ro.Spec.UpgradeHook
	}
	return ro.InitCommand()
}
