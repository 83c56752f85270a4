package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
)

func TestServiceWhoseImageIsGoneStops(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 0))
		w.settle()
		gone := func(call string) error {
			if call == "scale" || strings.HasPrefix(call, "start ") {
				return problem.New(problem.Denied, "the image is not one of environment prod")
			}
			return nil
		}
		w.cluster.Refusing(gone)
		w.change("shop", func(r *project.Record) { r.Service("db").Stopped = true })
		w.settle()
		if s := w.cluster.State(); len(s.Services) != 0 {
			t.Errorf("it runs on: %+v", s)
		}
		w.change("shop", func(r *project.Record) { r.Service("db").Stopped = false })
		w.passFor(10 * time.Second)
		w.cluster.Refusing(nil)
		w.settle()
		if active, state := w.serving("shop", "db"); active != 1 || state != project.Active || len(w.cluster.State().Services) != 1 {
			t.Errorf("with its image back r%d serves, the last is %s; %+v", active, state, w.cluster.State())
		}
	})
}

// What may pass by itself is tried again: nothing is removed for it.
func TestServiceThatCannotBeScaledJustNowStays(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.apply("shop", web("db", "data", 0))
		w.settle()
		w.cluster.Refusing(func(call string) error {
			if call == "scale" {
				return problem.New(problem.Unavailable, "the guard does not answer")
			}
			return nil
		})
		w.change("shop", func(r *project.Record) { r.Service("db").Stopped = true })
		w.passFor(10 * time.Second)
		if s := w.cluster.State(); len(s.Services) != 1 {
			t.Errorf("it was removed: %+v", s)
		}
	})
}
