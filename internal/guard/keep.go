package guard

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"havre/internal/dockercall"
	"havre/internal/policy"
)

// watchNetworks signals that the engine made or removed a network. It ends
// with ctx; an engine that goes away is asked again after a while.
func (g *Guard) watchNetworks(ctx context.Context, changed chan<- struct{}) {
	for wait(ctx, 5*time.Second) {
		w := dockercall.Wire{Method: "GET", Path: "/events", Query: url.Values{"filters": {`{"type":{"network":true}}`}}.Encode()}
		r, err := g.engine.request(ctx, w, nil)
		if err != nil {
			continue
		}
		a, err := g.engine.do(r)
		if err != nil {
			continue
		}
		d := json.NewDecoder(a.Body)
		var event json.RawMessage
		for d.Decode(&event) == nil {
			select {
			case changed <- struct{}{}:
			default: // one look at the rules answers for all that happened before it
			}
		}
		a.Body.Close()
	}
}

// wait waits, and tells whether ctx still goes on.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// sweep removes the containers that a killed guard left while it filled
// volumes. The engine may not be up yet.
func (g *Guard) sweep(ctx context.Context) {
	g.volumes.Lock()
	defer g.volumes.Unlock()
	filters := dockercall.Filters{}.
		With("label", dockercall.FilterValue(dockercall.InstanceLabel+"="+g.instance)).
		With("label", dockercall.KindLabel+"="+policy.SeedKind)
	text, err := json.Marshal(filters)
	if err != nil {
		return
	}
	var left []struct {
		Id     string
		Labels map[string]string
	}
	if err := g.engine.get(ctx, "/containers/json", url.Values{"all": {"1"}, "filters": {string(text)}}.Encode(), &left); err != nil {
		g.log.Warn("containers that a killed guard may have left were not looked for", "err", err)
		return
	}
	for _, c := range left {
		if policy.Owned(g.instance, c.Labels) && c.Labels[dockercall.KindLabel] == policy.SeedKind {
			g.removeContainer(ctx, c.Id)
		}
	}
}
