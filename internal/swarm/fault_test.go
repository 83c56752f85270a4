package swarm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/swarm"
)

func TestGuardsRuleIsKept(t *testing.T) {
	err := swarm.Explain(errors.New("Error response from daemon: refused: the bind source is no volume [rule mount.source]"), "start service %s", "h-x")
	p := problem.Of(err)
	if p.Kind != problem.Denied || p.Rule != "mount.source" || p.Says != "start service h-x: the guard refused: the bind source is no volume" {
		t.Errorf("problem is %+v", p)
	}
	p = problem.Of(swarm.Refused("ask the guard for volume", http.StatusForbidden, []byte(`{"message":"refused: no [rule own.volume]","rule":"own.volume"}`)))
	if p.Kind != problem.Denied || p.Rule != "own.volume" || p.Says != "ask the guard for volume: the guard refused: no" {
		t.Errorf("problem is %+v", p)
	}
}

func TestOnlyAMissingNetworkMayComeYet(t *testing.T) {
	for said, want := range map[string]problem.Kind{
		"no such network":               problem.Unavailable,
		"network q2b3 not found":        problem.Unavailable,
		"secret network not found":      problem.NotFound,
		"no such image: network:latest": problem.NotFound,
	} {
		err := swarm.Starting(fmt.Errorf("Error response from daemon: %s (%w)", said, errdefs.ErrNotFound), "start %s", "h-x")
		if problem.KindOf(err) != want {
			t.Errorf("%s: %v", said, err)
		}
	}
	if err := swarm.Starting(nil, "start"); err != nil {
		t.Error(err)
	}
}

func TestAnswersOfTheGuardHaveKinds(t *testing.T) {
	for status, want := range map[int]problem.Kind{
		400: problem.Invalid, 403: problem.Denied, 404: problem.NotFound, 409: problem.Conflict, 503: problem.Unavailable, 500: problem.Failed,
	} {
		if got := problem.KindOf(swarm.Refused("x", status, nil)); got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
}

func TestWithoutAGuardEverythingIsUnavailable(t *testing.T) {
	s, err := swarm.New(filepath.Join(t.TempDir(), "none.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	_, snapshot := s.Snapshot(ctx)
	_, node := s.Node(ctx)
	_, _, volume := s.EnsureVolume(ctx, swarm.VolumeUse{})
	_, image := s.Image(ctx, "prod", "debian")
	for name, err := range map[string]error{
		"ready": s.Ready(ctx), "snapshot": snapshot, "node": node, "volume": volume, "image": image,
		"start": s.StartService(ctx, service.Desired{}), "swarm": s.EnsureSwarm(ctx), "events": s.Events(ctx, func(swarm.Change) {}),
		"remove": s.RemoveService(ctx, "x"),
	} {
		if problem.KindOf(err) != problem.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEndOfTheContextIsToldAsSuch(t *testing.T) {
	s, err := swarm.New(filepath.Join(t.TempDir(), "none.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Volumes(ctx, "", "")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func TestSocketsPathIsNeeded(t *testing.T) {
	if _, err := swarm.New(""); problem.KindOf(err) != problem.Invalid {
		t.Errorf("error = %v", err)
	}
}

func TestRemedyOfTheGuardArrives(t *testing.T) {
	for _, status := range []int{http.StatusConflict, http.StatusServiceUnavailable} {
		if got := problem.Of(swarm.Refused("x", status, []byte(`{"message":"no","remedy":"look at both"}`))).Remedy; got != "look at both" {
			t.Errorf("%d: the remedy is %q", status, got)
		}
	}
	if got := problem.Of(swarm.Refused("x", http.StatusServiceUnavailable, []byte(`{"message":"no"}`))).Remedy; !strings.Contains(got, "havre status") {
		t.Errorf("where nobody names one the remedy is %q", got)
	}
}
