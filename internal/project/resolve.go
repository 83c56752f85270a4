package project

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"regexp"
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
	Suffix string                   // of default domains; "" is none
	Linked map[string]spec.Service  // targets of links to other projects, by Link.To
	Links  []LinkNet                // networks of those links

	Secrets map[string]string // which value each has, by its name in the declaration
}

// complete fills in what a declaration leaves open and its image says: volumes
// and the ports inside.
func complete(s spec.Service, img service.Image) spec.Service {
	s.Mounts = slices.Clone(s.Mounts)
	for _, at := range img.Volumes {
		at = path.Clean(at)
		// The engine gives each container an anonymous volume for such a path,
		// also below another mount: data would be lost with the container.
		if !slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return m.Target == at }) {
			s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Volume, Source: imageVolume(s.Name, at), Target: at, ReadOnly: at == readOnlyData})
		}
	}
	for _, at := range img.Kept {
		if !slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return m.Target == at || m.Target == path.Dir(at) }) {
			s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Volume, Source: imageVolume(s.Name, at), Target: at, ReadOnly: at == readOnlyData})
		}
	}
	if s.Disabled {
		s.Replicas = 0
	}
	s.Ports = slices.Clone(s.Ports)
	if len(s.Expose) == 0 {
		s.Expose = slices.Clone(img.Ports)
	}
	return s
}

// readOnlyData is where a service by convention only reads what it is given.
const readOnlyData = "/vol/ro"

// imageVolume names the volume of a service's image at a path: the service's
// name, a dot, the path. Where the path has to be bent to fit into a name, a
// digest keeps it apart from others.
func imageVolume(service, at string) string {
	plain := cmp.Or(strings.ReplaceAll(strings.Trim(at, "/"), "/", "-"), "root")
	name := strings.ToLower(service) + "." + plain
	if inPath.MatchString(at) && len(name) <= 100 {
		return name
	}
	sum := sha256.Sum256([]byte(at))
	bent := notInName.ReplaceAllString(plain, "_")
	return strings.ToLower(service) + "." + bent[:min(len(bent), 30)] + "." + hex.EncodeToString(sum[:4])
}

var (
	inPath    = regexp.MustCompile(`^(/[A-Za-z0-9_]+)+$`) // no "-", which stands for "/"
	notInName = regexp.MustCompile(`[^A-Za-z0-9_]`)
)

// keepPorts gives open ports the numbers they had before, as far as nobody has
// them by now. services are changed in place.
func keepPorts(services []spec.Service, old Record, taken map[Port]string) {
	used := maps.Clone(taken)
	if used == nil {
		used = map[Port]string{}
	}
	for _, s := range services {
		for _, p := range s.Ports {
			used[Port{p.External, p.Protocol}] = s.Name
		}
	}
	for _, s := range services {
		had := old.Service(s.Name)
		if had == nil || had.Rollout(had.Target) == nil {
			continue
		}
		for i, p := range s.Ports {
			for _, was := range had.Rollout(had.Target).Spec.Ports {
				key := Port{was.External, p.Protocol}
				if _, gone := used[key]; gone || p.External != 0 || s.Ports[i].External != 0 || was.Internal != p.Internal || was.Protocol != p.Protocol {
					continue
				}
				s.Ports[i].External = was.External
				used[key] = s.Name
			}
		}
	}
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

// variables are a service's own environment and those of its links. The
// person's own words win.
func variables(p spec.Project, s spec.Service, others map[string]spec.Service) []string {
	all := map[string]string{}
	for _, l := range s.Links {
		target, within := p.Service(l.To)
		if !within {
			target = others[l.To]
		}
		ports := l.Ports
		if len(ports) == 0 {
			ports = inner(target)
		}
		for _, v := range service.LinkVariables(l.Name(), ports) {
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
