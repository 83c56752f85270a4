package project

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// Found is what was looked up for one service of a declaration.
type Found struct {
	Images map[string]service.Image // by service name
	Taken  map[Port]string          // ports of the machine and who has them, other projects only
	Hosts  map[string]string        // domains and who has them, other projects only
}

// complete fills in what a declaration leaves open: volumes that the image
// asks for, and ports of the machine. had is the service's former rollout.
func complete(s spec.Service, img service.Image, had *Rollout) spec.Service {
	s.Mounts = slices.Clone(s.Mounts)
	for _, path := range img.Volumes {
		// The engine gives each container an anonymous volume for such a path,
		// also below another mount: data would be lost with the container.
		if !slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return m.Target == path }) {
			s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Volume, Source: imageVolume(s.Name, path), Target: path})
		}
	}
	s.Ports = slices.Clone(s.Ports)
	for i, p := range s.Ports {
		if p.External == 0 && had != nil {
			s.Ports[i].External = formerPort(had.Spec, p)
		}
	}
	if len(s.Expose) == 0 {
		s.Expose = slices.Clone(img.Ports)
	}
	return s
}

func imageVolume(service, path string) string {
	return strings.ToLower(service) + "-" + strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
}

func formerPort(s spec.Service, p spec.Port) uint16 {
	for _, old := range s.Ports {
		if old.Internal == p.Internal && old.Protocol == p.Protocol {
			return old.External
		}
	}
	return 0
}

// givePorts chooses numbers for the ports that are still open, and finds those
// that another project has. services are changed in place.
func givePorts(services []spec.Service, taken map[Port]string) problem.List {
	var wrong problem.List
	used := maps.Clone(taken)
	if used == nil {
		used = map[Port]string{}
	}
	for _, s := range services {
		for _, p := range s.Ports {
			if p.External == 0 {
				continue
			}
			key := Port{Number: p.External, Protocol: p.Protocol}
			if owner, clash := used[key]; clash {
				wrong = append(wrong, problem.New(problem.Conflict, "port %d/%s, which %s wants, is taken by %s", p.External, p.Protocol, s.Name, owner).
					With("choose another port, or shift them all with: havre apply --port-offset 10000"))
				continue
			}
			used[key] = s.Name
		}
	}
	for i := range services {
		for j, p := range services[i].Ports {
			if p.External != 0 {
				continue
			}
			n, err := free(used, p.Protocol)
			if err != nil {
				return append(wrong, problem.Of(err))
			}
			used[Port{Number: n, Protocol: p.Protocol}] = services[i].Name
			services[i].Ports[j].External = n
		}
	}
	return wrong
}

// giveHosts finds domains that someone else has.
func giveHosts(services []spec.Service, taken map[string]string) problem.List {
	var wrong problem.List
	used := maps.Clone(taken)
	if used == nil {
		used = map[string]string{}
	}
	for _, s := range services {
		for _, d := range s.Domains {
			if owner, clash := used[d.Host]; clash {
				wrong = append(wrong, problem.New(problem.Conflict, "the domain %s, which %s wants, belongs to %s", d.Host, s.Name, owner).
					With("choose another domain, or remove that service first"))
			}
			used[d.Host] = s.Name
			if _, err := backendPort(s, d); err != nil {
				wrong = append(wrong, problem.Of(err))
			}
		}
	}
	return wrong
}

// variables are a service's own environment and those of its links. The
// person's own words win.
func variables(p spec.Project, s spec.Service) []string {
	all := map[string]string{}
	for _, l := range s.Links {
		alias := l.Alias
		if alias == "" {
			alias = l.To
		}
		target, _ := p.Service(l.To)
		ports := l.Ports
		if len(ports) == 0 {
			ports = inner(target)
		}
		for _, v := range service.LinkVariables(alias, ports) {
			name, value, _ := strings.Cut(v, "=")
			all[name] = value
		}
	}
	maps.Copy(all, s.Environment)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}

// inner are the TCP ports on which a service can be reached inside.
func inner(s spec.Service) []uint16 {
	ports := service.Ports(s)
	for _, p := range s.Expose {
		if !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	slices.Sort(ports)
	return ports
}

// backendPort is the port a domain of s leads to.
// Errors: Invalid, when that is not clear.
func backendPort(s spec.Service, d spec.Domain) (uint16, error) {
	if d.Port != 0 {
		return d.Port, nil
	}
	candidates := inner(s)
	switch {
	case len(candidates) == 1:
		return candidates[0], nil
	case len(candidates) == 0, slices.Contains(candidates, 80):
		return 80, nil
	}
	return 0, problem.New(problem.Invalid, "%s listens on several ports (%s), and the domain %s does not say which one is meant", s.Name, joined(candidates), d.Host).
		With("write the port behind the domain, as %s:%d", d.Host, candidates[0])
}

func joined(ports []uint16) string {
	var words []string
	for _, p := range ports {
		words = append(words, fmt.Sprint(p))
	}
	return strings.Join(words, ", ")
}
