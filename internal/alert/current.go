package alert

import (
	"reflect"
	"sync"

	"havre/internal/problem"
)

// current is the configuration that counts now.
type current struct {
	mu     sync.Mutex // guards what follows
	taken  *Config    // nil: the one that the watch began with
	broken string     // what is wrong with a newer one; "" is nothing
}

// Current is the configuration that counts now.
func (w *Watch) Current() Config {
	w.current.mu.Lock()
	defer w.current.mu.Unlock()
	if w.current.taken != nil {
		return *w.current.taken
	}
	return w.Config
}

// take takes a changed configuration up. One that is wrong changes nothing, and
// is what it says.
func (w *Watch) take() (c Config, broken string) {
	c = w.Current()
	w.current.mu.Lock()
	defer w.current.mu.Unlock()
	if w.Reread == nil {
		return c, ""
	}
	next, changed, err := w.Reread()
	switch {
	case !changed:
	case err != nil:
		w.current.broken = problem.Of(err).Error()
		w.Log.Error("the changed configuration of alerts is not taken up, the former one stays", "problem", err)
	default:
		w.current.broken = ""
		if !reflect.DeepEqual(c, next) {
			w.Log.Info("a changed configuration of alerts counts from now on", "channels", len(next.Channels), "rules", len(next.InForce()))
		}
		w.current.taken, c = &next, next
	}
	return c, w.current.broken
}
