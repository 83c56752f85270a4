package deploy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// Found is what was looked up for one service of a declaration.
type Found struct {
	Images map[string]service.Image // by service name
	Taken  map[project.Port]string  // ports of the machine and who has them, other projects only
	Hosts  map[string]string        // domains and who has them, other projects only
	Suffix string                   // of default domains; "" is none
	Linked map[string]spec.Service  // targets of links to other projects, by Link.To
	Links  []project.LinkNet        // networks of those links

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

// nestedVolumes finds what images declare inside of what is mounted, or the
// other way round. What a file alone says was looked at before.
func nestedVolumes(services []spec.Service) problem.List {
	var wrong problem.List
	for _, s := range services {
		for _, m := range s.Mounts {
			if above := spec.MountAbove(s.Mounts, m.Target); above != "" {
				wrong = append(wrong, problem.New(problem.Invalid, "%s: %s lies below %s, and one of them is a volume of the image", s.Name, m.Target, above).
					With("mount a volume at each place that the image declares (docker image inspect shows them), and nothing below: a link in there could lead a mount anywhere"))
			}
		}
	}
	return wrong
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
func keepPorts(services []spec.Service, old project.Record, taken map[project.Port]string) {
	used := maps.Clone(taken)
	if used == nil {
		used = map[project.Port]string{}
	}
	for _, s := range services {
		for _, p := range s.Ports {
			used[project.Port{Number: p.External, Protocol: p.Protocol}] = s.Name
		}
	}
	for _, s := range services {
		had := old.Service(s.Name)
		if had == nil || had.Rollout(had.Target) == nil {
			continue
		}
		for i, p := range s.Ports {
			for _, was := range had.Rollout(had.Target).Spec.Ports {
				key := project.Port{Number: was.External, Protocol: p.Protocol}
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
func givePorts(services []spec.Service, taken map[project.Port]string) problem.List {
	var wrong problem.List
	used := maps.Clone(taken)
	if used == nil {
		used = map[project.Port]string{}
	}
	for _, s := range services {
		for _, p := range s.Ports {
			if p.External == 0 {
				continue
			}
			key := project.Port{Number: p.External, Protocol: p.Protocol}
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
			used[project.Port{Number: n, Protocol: p.Protocol}] = services[i].Name
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
			ports = service.InnerPorts(target)
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

// free is a port that nobody has.
// Errors: Conflict, when all are taken.
func free(used map[project.Port]string, proto spec.Protocol) (uint16, error) {
	taken := map[uint16]bool{}
	for p := route.FirstPort; p <= route.LastPort; p++ {
		if spec.EnginePort(uint16(p), proto) {
			taken[uint16(p)] = true
		}
	}
	for p := range used {
		taken[p.Number] = taken[p.Number] || p.Protocol == proto
	}
	return route.Allocate(taken, 0)
}
