package swarm_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"havre/internal/lab"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

func TestServiceStartsScalesRestartsAndGoes(t *testing.T) {
	w := open(t)
	d := w.project(t, "scale222", "10.87.1.0/24")
	w.start(t, d)
	w.start(t, d) // twice is once

	o := w.until(t, d, "one running task", func(o service.Observed) bool { return runs(o) == 1 })
	first := o.Tasks[0]
	if o.SwarmID == "" || o.Environment != "prod" || o.Replicas != 1 {
		t.Errorf("observed %s", describe(o))
	}
	if !netip.MustParsePrefix("10.87.1.0/24").Contains(first.Address) {
		t.Errorf("its address is %s", first.Address)
	}
	if len(first.Container) != 64 || first.Node == "" || first.Slot != 1 || first.Health != "" || first.Since.IsZero() || first.Created.IsZero() {
		t.Errorf("its task is %+v", first)
	}

	if err := w.swarm.ScaleService(t.Context(), o.SwarmID, 3); err != nil {
		t.Fatal(err)
	}
	w.until(t, d, "three running tasks", func(o service.Observed) bool { return o.Replicas == 3 && runs(o) == 3 })
	if err := w.swarm.ScaleService(t.Context(), o.SwarmID, 1); err != nil {
		t.Fatal(err)
	}
	w.until(t, d, "one live task", func(o service.Observed) bool { return len(o.Live()) == 1 })

	if err := w.swarm.RestartService(t.Context(), o.SwarmID); err != nil {
		t.Fatal(err)
	}
	w.until(t, d, "another container", func(o service.Observed) bool {
		return runs(o) == 1 && len(o.Live()) == 1 && o.Tasks[0].Container != first.Container
	})

	for range 2 {
		if err := w.swarm.RemoveService(t.Context(), o.SwarmID); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, w, d)
}

func gone(t *testing.T, w world, d service.Desired) {
	t.Helper()
	lab.Eventually(t, "nothing of the service", func(ctx context.Context) error {
		snap, err := w.swarm.Snapshot(ctx)
		for _, o := range snap.Services {
			if o.Project == d.Project {
				err = errors.Join(err, fmt.Errorf("there is %s", describe(o)))
			}
		}
		return err
	})
}

func TestChangesThatMeetAreTriedAgain(t *testing.T) {
	w := open(t)
	d := w.project(t, "together", "10.87.9.0/24")
	w.start(t, d)
	o, err := w.observe(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() { errs[i] = w.swarm.ScaleService(t.Context(), o.SwarmID, i) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if err := w.swarm.ScaleService(t.Context(), o.SwarmID, 0); err != nil {
		t.Error(err)
	}
}

func TestScalingWhatIsNotThereSaysSo(t *testing.T) {
	w := open(t)
	err := w.swarm.ScaleService(t.Context(), "aaaaaaaaaaaaaaaaaaaaaaaaa", 2)
	if problem.KindOf(err) != problem.NotFound {
		t.Errorf("error = %v", err)
	}
}

func TestContainersOfARemovedServiceAreSeenUntilTheyEnd(t *testing.T) {
	w := open(t)
	d := w.project(t, "ghost222", "10.87.2.0/24")
	d.Variables = []string{"IGNORE_TERM=1"}
	d.Spec.StopGrace = spec.Duration(3e9)
	w.start(t, d)
	o := w.until(t, d, "a running task", func(o service.Observed) bool { return runs(o) == 1 })
	container := o.Tasks[0].Container
	if err := w.swarm.RemoveService(t.Context(), o.SwarmID); err != nil {
		t.Fatal(err)
	}
	o, err := w.observe(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if o.SwarmID != "" || len(o.Live()) != 1 || o.Live()[0].Container != container {
		t.Errorf("right after the removal there is %s", describe(o))
	}
	gone(t, w, d)
}
