package role

import (
	"context"
	"log/slog"
	"sync/atomic"

	"havre/internal/api"
	"havre/internal/event"
	"havre/internal/problem"
	"havre/internal/reconcile"
)

// witness turns what the loop and the engine's client see into events.
type witness struct {
	journal *event.Journal
	loop    *reconcile.Loop
	certs   *leaves
	https   uint16
	suffix  string
	log     *slog.Logger

	passes, failures, took atomic.Int64 // took: nanoseconds
}

// Saw is told of each pass of the loop.
func (w *witness) Saw(ctx context.Context, p reconcile.Passed) error {
	w.passes.Add(1)
	w.took.Add(int64(p.Took))
	if p.Blind != nil || p.Failed != nil {
		w.failures.Add(1)
	}
	e := event.Passed{Records: p.Records, View: p.View, Outside: loopView{w.loop, w.https, w.suffix, w.certs, 0}.Outside(), Certificates: w.certs.Ends()}
	if p.Blind != nil {
		e.Trouble = problem.Of(p.Blind).Error()
	}
	return w.journal.Saw(ctx, e)
}

// refused keeps a call that the guard refused. Its own audit has it anyway, so
// nothing depends on this.
func (w *witness) refused(ctx context.Context, says string) {
	if err := w.journal.Add(ctx, api.Event{Kind: api.RefusedEvent, Says: says}); err != nil && ctx.Err() == nil {
		w.log.Warn("keep a refusal", "problem", err)
	}
}
