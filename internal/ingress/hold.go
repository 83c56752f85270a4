package ingress

import (
	"context"
	"time"
)

// A connection that no container takes is held: while there is none, as when
// one that writes is stopped before its successor starts, for Settings.Hold;
// while there are some that refuse, as when one starts again, for at most
// refusing. It is asked again each pause. Nothing was sent, so nothing repeats.
const (
	refusing = 5 * time.Second
	pause    = 50 * time.Millisecond
)

// holding is one connection's patience.
type holding struct {
	began time.Time
	most  time.Duration
}

func (f *front) hold() holding { return holding{time.Now(), f.set.Hold} }

// wait waits a moment before the next try; it is false when patience has ended.
func (h holding) wait(ctx context.Context, w *way) bool {
	most := h.most
	if len(w.backends) > 0 {
		most = min(most, refusing)
	}
	if time.Since(h.began) >= most {
		return false
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
