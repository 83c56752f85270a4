package project

import (
	"fmt"
	"slices"
	"strings"

	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// Table says where traffic goes: to the running containers of the rollouts
// that serve, or that are on their way where none serves yet.
func Table(records []Record, snap service.Snapshot) route.Table {
	var t route.Table
	for _, r := range records {
		for _, s := range r.Present() {
			cur := s.Current()
			if cur == nil || s.Stopped || !cur.Spec.Runs() {
				continue
			}
			o := observed(snap, s.ID)[cur.Number]
			label := r.Environment + "." + r.Name + "." + s.Name
			for _, p := range cur.Spec.Ports {
				if p.Protocol == spec.TCP {
					t.TCP = append(t.TCP, route.TCP{Listen: p.External, Access: p.Access, Service: label, Targets: Targets(r.Environment, o, p.Internal)})
				}
			}
			for _, d := range cur.Spec.Domains {
				t.HTTP = append(t.HTTP, domain(r.Environment, label, cur.Spec, d, o))
			}
		}
	}
	slices.SortFunc(t.TCP, func(a, b route.TCP) int { return int(a.Listen) - int(b.Listen) })
	slices.SortFunc(t.HTTP, func(a, b route.HTTP) int { return strings.Compare(a.Host, b.Host) })
	return t
}

func domain(env, label string, s spec.Service, d spec.Domain, o service.Observed) route.HTTP {
	port, _ := backendPort(s, d) // Declare refused a domain without a clear port
	access := s.Access
	if access == "" {
		access = spec.Public
	}
	return route.HTTP{Host: d.Host, Access: access, Service: label, Targets: Targets(env, o, port)}
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
