package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// Table says where traffic goes: to the running containers of the rollouts
// that serve, or that are on their way where none serves yet. A port or domain
// that one service leaves and another takes is the first one's until its
// rollout is switched.
func Table(records []Record, snap service.Snapshot) route.Table {
	var t route.Table
	for _, serving := range []bool{true, false} {
		for i, r := range records {
			for _, s := range r.Present() {
				cur := s.Current()
				if cur == nil || s.Stopped || !cur.Spec.Runs() || serving != (s.Active != 0) {
					continue
				}
				o := observed(snap, s.ID)[cur.Number]
				if s.Leaves() {
					o.Tasks = nil // the ingress holds who comes now
				}
				lead(&t, Ref{&records[i], s}, o)
			}
		}
	}
	slices.SortFunc(t.TCP, func(a, b route.TCP) int { return int(a.Listen) - int(b.Listen) })
	slices.SortFunc(t.UDP, func(a, b route.UDP) int { return int(a.Listen) - int(b.Listen) })
	slices.SortFunc(t.Pass, func(a, b route.Pass) int { return strings.Compare(a.Host, b.Host) })
	slices.SortFunc(t.HTTP, func(a, b route.HTTP) int { return strings.Compare(a.Host, b.Host) })
	return t
}

// lead adds a service's routes, but for those that lead elsewhere already.
func lead(t *route.Table, ref Ref, o service.Observed) {
	env, s := ref.Record.Environment, ref.Service.Current().Spec
	for _, p := range s.Ports {
		r := route.TCP{Listen: p.External, Access: p.Access, Service: ref.String(), Targets: Targets(env, o, p.Internal)}
		switch {
		case p.Protocol == spec.TCP && !slices.ContainsFunc(t.TCP, func(r route.TCP) bool { return r.Listen == p.External }):
			t.TCP = append(t.TCP, r)
		case p.Protocol == spec.UDP && !slices.ContainsFunc(t.UDP, func(r route.UDP) bool { return r.Listen == p.External }):
			t.UDP = append(t.UDP, route.UDP(r))
		}
	}
	for _, d := range s.Domains {
		taken := slices.ContainsFunc(t.HTTP, func(r route.HTTP) bool { return r.Host == d.Host }) ||
			slices.ContainsFunc(t.Pass, func(r route.Pass) bool { return r.Host == d.Host })
		port, err := backendPort(s, d)
		if err != nil || taken { // Declare refused a domain without a clear port
			continue
		}
		r := route.HTTP{Host: d.Host, Access: cmp.Or(s.Access, spec.Public), Service: ref.String(), Targets: Targets(env, o, port)}
		if d.TLS == spec.Passthrough {
			t.Pass = append(t.Pass, route.Pass(r))
			continue
		}
		t.HTTP = append(t.HTTP, r)
	}
}

// Targets are the running containers of o at one of their ports.
func Targets(env string, o service.Observed, port uint16) []route.Target {
	var targets []route.Target
	for _, t := range o.Tasks {
		if t.State == service.Running && t.Container != "" && t.Address.IsValid() {
			targets = append(targets, route.Target{Environment: env, Container: t.Container, Address: t.Address, Port: port})
		}
	}
	slices.SortFunc(targets, func(a, b route.Target) int { return strings.Compare(a.Container, b.Container) })
	return targets
}

// URLs are where people reach a service's domains. The ports are the
// ingress' own.
func URLs(s spec.Service, httpsPort uint16) []string {
	var urls []string
	for _, d := range s.Domains {
		u := "https://" + d.Host
		if httpsPort != 443 && httpsPort != 0 {
			u += fmt.Sprintf(":%d", httpsPort)
		}
		urls = append(urls, u+"/")
	}
	return urls
}
