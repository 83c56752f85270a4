package reconcile

import (
	"context"
	"slices"

	"havre/internal/project"
)

// lastLines is how many lines of a container that ended badly are remembered.
const lastLines = 20

// troubles remembers what crashed, before anything happens on its account. What
// could not be remembered is found again by the next pass.
func (w *work) troubles(ctx context.Context, r *project.Record) error {
	turns := project.Turns(*r, w.view)
	if len(turns) == 0 {
		return nil
	}
	next := *r
	next.Services = slices.Clone(r.Services)
	for _, t := range turns {
		var lines []string
		if t.Container != "" { // without its lines a crash is still worth remembering
			lines, _ = w.loop.hands.LastLines(ctx, t.Container, lastLines)
		}
		next.Suffer(t, lines)
		w.tell(*r, t)
	}
	if err := w.loop.hands.SaveProject(ctx, next); err != nil {
		return err
	}
	next.Version++
	*r = next
	return nil
}

// tell logs what a person who reads the server's log wants to know.
func (w *work) tell(r project.Record, t project.Turn) {
	log := w.loop.set.Log.With("project", r.Name, "service", t.Name, "rollout", t.Rollout)
	switch {
	case t.Trouble == nil:
		log.Info("is well again")
	case t.Trouble.Resting():
		log.Warn("crashes and rests", "crashes", t.Trouble.Crashes, "until", t.Trouble.Until)
	case t.Container == "":
		log.Info("is tried again", "crashes", t.Trouble.Crashes)
	default:
		log.Warn("crashed", "crashes", t.Trouble.Crashes)
	}
}
