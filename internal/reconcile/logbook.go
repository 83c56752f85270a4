package reconcile

import (
	"context"
	"time"

	"havre/internal/project"
	"havre/internal/spec"
)

// logTime is how long a step waits for the logs of the containers it ends, and
// tidyEvery how often old ones are looked for when nothing else happens.
const (
	logTime   = 10 * time.Second
	tidyEvery = time.Hour
)

// keepLogs keeps what a rollout's containers printed before a step ends them:
// their logs go with them. What cannot be kept keeps nothing from happening.
func (w *work) keepLogs(ctx context.Context, r *project.Record, a project.Action) {
	if rollout(r, a) == nil {
		return // it was removed, or is forgotten
	}
	var of []project.Page
	for _, o := range w.view.Snapshot.Services {
		if o.ID != a.Service || o.Rollout != a.Rollout {
			continue
		}
		for _, t := range o.Tasks {
			if t.Container != "" {
				of = append(of, project.Page{Service: o.ID, Rollout: o.Rollout, Slot: t.Slot, Container: t.Container})
			}
		}
	}
	if len(of) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	if err := w.loop.hands.KeepLogs(ctx, of); err != nil {
		w.loop.set.Log.Warn("its last lines are lost", "project", r.Name, "service", a.Name, "rollout", a.Rollout, "problem", err)
	}
}

// tidyLogs removes old logs, and those of rollouts that nobody remembers.
func (w *work) tidyLogs(ctx context.Context, records []project.Record) {
	if !w.loop.untidy && w.view.Now.Sub(w.loop.tidied) < tidyEvery {
		return
	}
	wanted := map[spec.ServiceID]map[int]bool{}
	for _, r := range records {
		for _, s := range r.Present() {
			wanted[s.ID] = map[int]bool{}
			for _, ro := range s.Rollouts {
				wanted[s.ID][ro.Number] = true
			}
		}
	}
	if err := w.loop.hands.TidyLogs(ctx, func(s spec.ServiceID, n int) bool { return wanted[s][n] }); err != nil {
		w.failed("remove old logs", err)
		return
	}
	w.loop.tidied = w.view.Now
}
