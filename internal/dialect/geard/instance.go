package geard

import (
	"fmt"
	"maps"

	"havre/internal/problem"
	"havre/internal/spec"
)

// instances reads what geard wrote into its state file. Count stays the truth,
// as in geard, which trimmed instances above it; the ports they were given are
// kept for the service.
func (r *reader) instances(top fields) {
	for _, n := range r.list(top, "Instances") {
		f := r.object(n, "Instances[]")
		if id := r.text(f, "Id"); id != "" && !idForm.MatchString(id) {
			r.Refuse(f.place("Id"), fmt.Sprintf("%q cannot be the id of an instance", id), "use 4 to 24 letters, digits, _ - and .")
		}
		ports := r.instancePorts(f)
		env := r.environment(f, "Instances[].Environment[]")
		image, from := r.text(f, "Image"), r.text(f, "From")
		if r.text(f, "On") != "" {
			r.later(f.place("On"), "On", "On has no effect: Havre chooses the machine", "take it out")
		}
		s := r.service(from)
		if s == nil {
			if n.kind == object {
				r.Warn(f.place("From"), fmt.Sprintf("the instance is dropped, as geard did: no container is called %q", from), "name one of the containers, or take the instance out")
			}
			continue
		}
		r.copied(f, *s, image, env)
		for _, p := range ports {
			r.given(s, p)
		}
	}
}

// copied warns where an instance differs from its service.
func (r *reader) copied(f fields, s spec.Service, image string, env map[string]string) {
	if image != "" && image != s.Image {
		r.Warn(f.place("Image"), fmt.Sprintf("the instance's image %s is not used: %s runs %s", image, s.Name, s.Image), "write the image at the container")
	}
	if len(env) > 0 && !maps.Equal(env, s.Environment) {
		r.Warn(f.place("Environment"), "an instance's own variables are not used: all containers of "+s.Name+" get the same", "write them at the container")
	}
}

type instancePort struct {
	internal, external uint16
	at                 problem.Place
}

func (r *reader) instancePorts(f fields) []instancePort {
	var ports []instancePort
	for _, n := range r.list(f, "Ports") {
		p := r.object(n, "Instances[].Ports[]")
		if m, ok := p.get("Target"); ok {
			target := r.object(m.value, "Instances[].Ports[].Target")
			r.text(target, "Host")
			r.port(target, "Port", 0)
		}
		ports = append(ports, instancePort{r.port(p, "Internal", 1), r.port(p, "External", 0), p.at})
	}
	return ports
}

// given keeps a port of an instance as the service's where that has none yet.
func (r *reader) given(s *spec.Service, p instancePort) {
	if p.internal == 0 || p.external == 0 {
		return
	}
	for i := range s.Ports {
		if s.Ports[i].Internal != p.internal || s.Ports[i].External == p.external {
			continue
		}
		if s.Ports[i].External == 0 {
			s.Ports[i].External = p.external
			r.Origins[fmt.Sprintf("services.%s.ports[%d]", s.Name, i)] = p.at
			return
		}
		r.Warn(p.at, fmt.Sprintf("port %d of this instance is not kept: all containers of %s are behind port %d", p.external, s.Name, s.Ports[i].External), "use that one")
		return
	}
}
