package servertest

import (
	"context"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
)

// Alerts has one for each service that fails.
func (f *Fake) Alerts(context.Context) (api.Alerts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := api.Alerts{Silences: append([]api.Silence{}, f.silent...), Channels: []string{"chat", "ops"}}
	if f.ill != "" {
		all.Alerts = append(all.Alerts, api.Alert{Name: "node/engine", Rule: "node", About: "engine", Says: "it does not answer: " + f.ill, Since: f.now(), State: "pending"})
	}
	for _, k := range f.kept {
		if k.state == "failing" {
			all.Alerts = append(all.Alerts, api.Alert{Name: "service-down/" + k.full(), Rule: "service-down", About: k.full(), Says: "failing: " + f.trouble[k.spec.Name].says, Since: k.since, State: "unwell", ToldAt: k.since})
		}
	}
	return all, nil
}

// Silence remembers.
func (f *Fake) Silence(ctx context.Context, name string, span time.Duration) (api.Alerts, error) {
	f.set(func() {
		f.silent = nil
		if span > 0 {
			f.silent = []api.Silence{{Name: name, Until: f.now().Add(span)}}
		}
	})
	return f.Alerts(ctx)
}

// TestAlerts finds that ops does not take it.
func (f *Fake) TestAlerts(_ context.Context, channel string) ([]api.Tested, error) {
	all := []api.Tested{{Channel: "chat", OK: true}, {Channel: "ops", Says: "channel ops: connection refused"}}
	switch channel {
	case "":
		return all, nil
	case "chat":
		return all[:1], nil
	case "ops":
		return all[1:], nil
	}
	return nil, problem.New(problem.NotFound, "no channel is named %s", channel).With("list them with: havre alert ls")
}
