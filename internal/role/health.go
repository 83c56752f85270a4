package role

import (
	"context"
	"fmt"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/route"
)

// Version tells who we are and what engine we speak to.
func (b *backend) Version(ctx context.Context) (api.Version, error) {
	v := api.Version{Version: Version}
	v.Engine, v.API, _ = b.engine.Version(ctx) // an engine that is not there is told by Status
	return v, nil
}

// Status asks each part how it is.
func (b *backend) Status(ctx context.Context) (api.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var st api.Status
	st.Version, _ = b.Version(ctx) // never fails
	st.Parts = []api.Part{b.enginePart(ctx), b.ingressPart(ctx), b.loopPart(), b.seer.certs.part(time.Now())}
	st.Healthy = true
	for _, p := range st.Parts {
		st.Healthy = st.Healthy && p.Well
	}
	if node, err := b.engine.Node(ctx); err == nil {
		st.Node = string(node)
	}
	records, err := b.Records.Projects(ctx)
	if err != nil {
		return st, err
	}
	for _, r := range records {
		if n := len(r.Present()); n > 0 {
			st.Projects++
			st.Services += n
		}
	}
	return st, nil
}

func (b *backend) enginePart(ctx context.Context) api.Part {
	p := api.Part{Name: "engine"}
	b.mu.Lock()
	err := b.swarm
	b.mu.Unlock()
	if err == nil {
		err = b.engine.Ready(ctx)
	}
	p.Well = err == nil
	if err != nil {
		p.Says = problem.Of(err).Error()
	}
	return p
}

func (b *backend) ingressPart(ctx context.Context) api.Part {
	p := api.Part{Name: "ingress"}
	st, err := b.ingress.Status(ctx)
	if err != nil {
		p.Says = problem.Of(err).Error()
		return p
	}
	p.Well = st.Problem == ""
	p.Says = st.Problem
	for _, l := range st.Listeners {
		if l.State == route.Failed { // a service's trouble, not the ingress's
			p.Says = fmt.Sprintf("cannot listen on %s: %s", l.Listen, l.Says)
		}
	}
	return p
}

func (b *backend) loopPart() api.Part {
	s := b.loop.Sight()
	switch {
	case s.At.IsZero():
		return api.Part{Name: "loop", Says: "it has not looked yet " + s.Problem}
	case s.Problem != "":
		return api.Part{Name: "loop", Well: true, Says: s.Problem}
	}
	return api.Part{Name: "loop", Well: true}
}
