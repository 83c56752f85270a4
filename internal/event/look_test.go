package event_test

import (
	"testing"
	"time"

	"havre/internal/event"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// What rests between tries is in one crash loop, not in one for each try.
func TestWhatRestsBetweenTriesIsInACrashLoop(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	end := service.Task{State: service.Failed, ExitCode: 3, Since: now.Add(-time.Minute)}
	for says, c := range map[string]struct {
		trouble *service.Trouble
		want    string
	}{
		"no trouble":             {nil, ""},
		"a crash that is mended": {&service.Trouble{Crashes: 1, End: end}, ""},
		"it rests":               {&service.Trouble{Crashes: 5, End: end, Rests: 1, Until: now.Add(time.Minute)}, "it exited with code 3"},
		"it is tried":            {&service.Trouble{Crashes: 5, End: end, Rests: 1, Tried: now.Add(-time.Second)}, "it exited with code 3"},
		"it ran on for a while":  {&service.Trouble{Crashes: 5, End: end, Rests: 1, Tried: now.Add(-40 * time.Second)}, "it exited with code 3"},
	} {
		r := project.Record{Environment: "prod", Name: "shop", Services: []project.Service{{
			ID: "s", Name: "web", Active: 1, Target: 1,
			Rollouts: []project.Rollout{{Number: 1, State: project.Active, Spec: spec.Service{Name: "web", Replicas: 1}, Trouble: c.trouble}},
		}}}
		v := project.View{Now: now, Accepts: func(service.Task, []uint16) bool { return true }}
		sight := event.Look(event.Sight{}, event.Passed{Records: []project.Record{r}, View: v})
		if got := sight.Services["prod.shop.web"].Looping; got != c.want {
			t.Errorf("%s: %q", says, got)
		}
	}
}
