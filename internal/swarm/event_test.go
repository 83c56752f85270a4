package swarm_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"havre/internal/swarm"
)

func TestEventsAreTold(t *testing.T) {
	w := open(t)
	d := w.project(t, "events22", "10.87.13.0/24")
	d.Spec.Health = check(3)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	var heard []string
	err := w.swarm.Events(ctx, func(c swarm.Change) {
		if c.What != swarm.Listening && c.Project != d.Project {
			return // another test's that is still going
		}
		heard = append(heard, c.What)
		switch c.What {
		case swarm.Listening:
			w.start(t, d)
		case "health_status: healthy":
			if c.Project != d.Project || c.Service != d.ID || c.Rollout != 1 || c.Environment != "prod" || len(c.Container) != 64 {
				t.Errorf("a change is %+v", c)
			}
			o, err := w.observe(ctx, d)
			if err == nil {
				err = w.swarm.RemoveService(ctx, o.SwarmID)
			}
			if err != nil {
				t.Error(err)
			}
		case "destroy":
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
	if want := []string{"listening", "start", "health_status: healthy", "die", "destroy"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}
