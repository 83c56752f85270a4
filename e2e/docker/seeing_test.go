package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"havre/internal/api"
	"havre/internal/lab"
)

// told reads the events of a project.
func (h *havre) told(ctx context.Context, project string, after int64) ([]api.Event, error) {
	out, err := h.command(ctx, "events", project+"/", "--after", fmt.Sprint(after), "-o", "json").Output()
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	var all []api.Event
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var e api.Event
		if err := d.Decode(&e); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// tells waits for events of a project, each as kind/service/state, in this
// order among the others, and gives all.
func (h *havre) tells(t *testing.T, project string, want ...string) []api.Event {
	t.Helper()
	var all []api.Event
	lab.Eventually(t, fmt.Sprintf("the events %v of %s", want, project), func(ctx context.Context) (err error) {
		if all, err = h.told(ctx, project, 0); err != nil {
			return err
		}
		rest := want
		for _, e := range all {
			if len(rest) > 0 && rest[0] == strings.TrimRight(e.Kind+"/"+e.Service+"/"+e.State, "/") {
				rest = rest[1:]
			}
		}
		if len(rest) > 0 {
			return fmt.Errorf("no %s in %v", rest[0], all)
		}
		return nil
	})
	return all
}

// One world for events, a kill and alerts: each costs seconds.
func TestWhatHappensIsToldOnceThoughTheServerIsKilled(t *testing.T) {
	t.Parallel()
	h := alone(t)
	h.apply(t, "seen", fmt.Sprintf(web, "v1", 18090, 1))
	h.tells(t, "seen", "deploy-begun/web", "deploy-done/web", "health/web/healthy")
	s, err := h.service(t.Context(), "seen.web")
	if err != nil || len(s.Tasks) == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	h.followsOverKills(t, "seen.web", "http://127.0.0.1:18090/", "v1")
	ears, mail, hook := hear(t, h.world)
	if err := syscall.Kill(h.pid(t, "server"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the server to be back", func(ctx context.Context) error { return h.command(ctx, "status").Run() })
	h.apply(t, "seen", fmt.Sprintf(web, "v2", 18090, 1))
	all := h.tells(t, "seen", "deploy-done/web", "deploy-begun/web", "deploy-done/web")
	begun := map[int]int{}
	last := int64(0)
	for _, e := range all {
		if e.ID <= last {
			t.Errorf("number %d after %d", e.ID, last)
		}
		last = e.ID
		if e.Kind == api.DeployBegun {
			begun[e.Rollout]++
		}
	}
	if begun[1] != 1 || begun[2] != 1 {
		t.Errorf("deploys were told so often: %v", begun)
	}
	h.alerting(t, mail, hook) // the server that runs takes it up
	h.tellsOfAnOutage(t, ears)
	h.keepsItsRules(t, ears)
}

func TestRestartsAreTold(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.applyBadly(t, "falls", "services: {s: {image: 'app:1', environment: {CRASH: '3'}}}")
	h.tells(t, "falls", "deploy-begun/s", "restart/s", "deploy-failed/s")
}

func TestTopShowsWhatServicesUse(t *testing.T) {
	t.Parallel()
	h := up(t)
	h.apply(t, "used", fmt.Sprintf(web, "v1", 18091, 1))
	h.answers(t, "http://127.0.0.1:18091/", "v1")
	lab.Eventually(t, "top to show a container and its connection", func(ctx context.Context) error {
		var all []api.Rate
		out, err := h.command(ctx, "top", "--once", "used/", "-o", "json").Output()
		if err == nil {
			err = json.Unmarshal(out, &all)
		}
		if err == nil && (len(all) != 1 || all[0].Containers != 1 || all[0].Memory == 0) {
			err = errors.New(string(out))
		}
		return err
	})
	lab.Eventually(t, "the access log to tell of it", func(ctx context.Context) error {
		out, err := h.command(ctx, "logs", "--access", "used.web").CombinedOutput()
		if err == nil && !strings.Contains(string(out), ":18091/tcp ") {
			err = errors.New(string(out))
		}
		return err
	})
}
