package swarm_test

import (
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"havre/internal/swarm"
)

// An engine that dies between making a container and starting it leaves one
// that no task has. It must not count as one that may write to a volume.
func TestContainerThatNobodyWillStartIsNotSeen(t *testing.T) {
	labels := map[string]string{"havre.kind": "service", "havre.project": "p", "havre.service": "s", "havre.rollout": "1"}
	for what, c := range map[string]struct {
		state container.ContainerState
		age   time.Duration
		live  int
	}{
		"one that runs":                  {container.StateRunning, time.Hour, 1},
		"one that was made just now":     {container.StateCreated, time.Second, 1},
		"one that was made and left":     {container.StateCreated, time.Hour, 0},
		"one that ended":                 {container.StateExited, time.Hour, 0},
		"one that the engine takes away": {container.StateRemoving, time.Second, 1},
	} {
		all := []container.Summary{{ID: "c", State: c.state, Created: time.Now().Add(-c.age).Unix(), Labels: labels}}
		live := 0
		for _, o := range swarm.Ghosts(all) {
			live += len(o.Live())
		}
		if live != c.live {
			t.Errorf("%s: %d are seen, want %d", what, live, c.live)
		}
	}
}
