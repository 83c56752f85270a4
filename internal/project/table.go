package project

import (
	"cmp"
	"slices"
	"strings"

	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// Table says where traffic goes: to the running containers of the rollouts
// that serve, or that are on their way where none serves yet. A port or domain
// that one service leaves and another takes is the first one's until its
// rollout is switched. A service that is not to run keeps its domains, so that
// no other answers there. Below suffix are the default domains; "" is none.
func Table(records []Record, snap service.Snapshot, suffix string) route.Table {
	var t route.Table
	for _, turn := range []turn{serving, coming, stopped} {
		for i, r := range records {
			for _, s := range r.Present() {
				if turnOf(s) != turn {
					continue
				}
				o := Observed(snap, s.ID)[s.Current().Number]
				if s.Leaves() || turn == stopped {
					o.Tasks = nil // the ingress holds who comes now, or says that it is stopped
				}
				if turn != stopped {
					lead(&t, Ref{&records[i], s}, o)
				}
				leadHosts(&t, Ref{&records[i], s}, o, suffix)
			}
		}
	}
	slices.SortFunc(t.TCP, func(a, b route.TCP) int { return int(a.Listen) - int(b.Listen) })
	slices.SortFunc(t.UDP, func(a, b route.UDP) int { return int(a.Listen) - int(b.Listen) })
	slices.SortFunc(t.Pass, func(a, b route.Pass) int { return strings.Compare(a.Host, b.Host) })
	slices.SortFunc(t.HTTP, func(a, b route.HTTP) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Path, b.Path))
	})
	return t
}

// turn is when a service takes its ports and domains.
type turn int

const (
	none turn = iota
	serving
	coming
	stopped
)

func turnOf(s *Service) turn {
	switch cur := s.Current(); {
	case cur == nil:
		return none
	case s.Stopped || !cur.Spec.Runs():
		return stopped
	case s.Active != 0:
		return serving
	}
	return coming
}

// lead adds a service's routes by port, but for those that lead elsewhere already.
func lead(t *route.Table, ref Ref, o service.Observed) {
	env, s := ref.Record.Environment, ref.Service.Current().Spec
	for _, p := range s.Ports {
		r := route.TCP{
			Listen: p.External, Access: p.Access, Service: ref.String(), Proxy: s.Front.Proxy, Rate: s.Front.Rate, Sticky: s.Front.Sticky,
			Targets: Targets(env, o, p.Internal),
		}
		switch {
		case p.Protocol == spec.TCP && !slices.ContainsFunc(t.TCP, func(r route.TCP) bool { return r.Listen == p.External }):
			t.TCP = append(t.TCP, r)
		case p.Protocol == spec.UDP && !slices.ContainsFunc(t.UDP, func(r route.UDP) bool { return r.Listen == p.External }):
			r.Proxy = "" // it greets connections
			t.UDP = append(t.UDP, route.UDP(r))
		}
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

// Port is a port of the machine.
type Port struct {
	Number   uint16
	Protocol spec.Protocol
}

// Ports gives every port that the records' services have, and who has it.
func Ports(records []Record, except spec.ProjectID) map[Port]string {
	taken := map[Port]string{}
	for _, r := range records {
		if r.ID == except {
			continue
		}
		for _, s := range r.Present() {
			for _, ro := range s.Held() {
				for _, p := range ro.Spec.Ports {
					taken[Port{p.External, p.Protocol}] = r.Environment + "." + r.Name + "." + s.Name
				}
			}
		}
	}
	return taken
}
