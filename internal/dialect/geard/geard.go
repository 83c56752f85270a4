// Package geard reads the deployment JSON of openshift/geard: its keys in any
// letter case, its defaults, its messages, and the top-level Keys that its
// users believed in.
package geard

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"

	"havre/internal/dialect/source"
	"havre/internal/problem"
	"havre/internal/spec"
)

var (
	stateSuffix = regexp.MustCompile(`\.\d{8}-\d{6}$`)
	idForm      = regexp.MustCompile(`^[a-zA-Z0-9_\-.]{4,24}$`)
)

// ProjectName makes a project's name of a deployment file's: the base name
// without extension and without the time that geard puts behind its state files.
func ProjectName(file string) string {
	name := stateSuffix.ReplaceAllString(path.Base(file), "")
	name = strings.TrimSuffix(name, path.Ext(name))
	return stateSuffix.ReplaceAllString(name, "")
}

// Looks tells whether content is a deployment: a JSON object with a top-level
// key "containers" in any case. Broken JSON counts when it has such a key and
// none of Compose's, so that its mistakes are shown as JSON's.
func Looks(content []byte) bool {
	root, wrong := parse(source.Text{Content: content})
	if wrong != nil {
		return likely.Match(content) && !unlikely.Match(content)
	}
	return slices.ContainsFunc(root.members, func(m member) bool { return strings.EqualFold(m.key, "containers") })
}

var (
	likely   = regexp.MustCompile(`(?is)^\s*\{.*"containers"\s*:`)
	unlikely = regexp.MustCompile(`"services"\s*:`)
)

// Read turns a deployment into a project named name. Mistakes of spec.Validate
// are not looked for.
func Read(t source.Text, name string) *source.Reading {
	r := &reader{Reading: source.NewReading(t.Name), said: map[string]bool{}}
	r.Project.Name = name
	root, wrong := parse(t)
	if wrong != nil {
		r.Mistakes = append(r.Mistakes, wrong)
		return r.Reading
	}
	top := r.object(root, "")
	r.Origins["name"] = problem.Place{File: t.Name}
	keys := r.keys(top)
	containers := r.list(top, "Containers")
	for _, n := range containers {
		if s, links, ok := r.container(n); ok {
			s.Keys = slices.Clone(keys)
			r.Project.Services = append(r.Project.Services, s)
			r.pending = append(r.pending, links)
		}
	}
	if len(containers) == 0 {
		r.Refuse(top.place("Containers"), "the deployment has no containers", `write "containers": [{"name": …, "image": …, "count": 1}]`)
	}
	r.instances(top)
	r.links()
	r.settings(top)
	return r.Reading
}

// settings warns about what steers geard's own naming.
func (r *reader) settings(top fields) {
	const remedy = "use the service's name; the replicas of NAME are told apart by number"
	if r.text(top, "IdPrefix") != "" {
		r.Warn(top.place("IdPrefix"), "IdPrefix has no effect: containers are addressed by their service's name", remedy)
	}
	if r.flag(top, "RandomizeIds") {
		r.Warn(top.place("RandomizeIds"), "RandomizeIds has no effect: containers are addressed by their service's name", remedy)
	}
}

func (r *reader) keys(top fields) []spec.Key {
	var keys []spec.Key
	for _, n := range r.list(top, "Keys") {
		f := r.object(n, "Keys[]")
		if kind := r.text(f, "Type"); kind != "authorized_keys" {
			r.Refuse(f.place("Type"), fmt.Sprintf("a key of type %q is unknown", kind), `write "Type": "authorized_keys"`)
			continue
		}
		for line := range strings.Lines(r.text(f, "Value")) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || line[0] == '#':
			case source.UsableKey(line):
				keys = append(keys, spec.Key{Text: line})
			default:
				r.Warn(f.place("Value"), fmt.Sprintf("%q is no SSH key; nobody gets in by it", shorten(line)), "put the whole line of an id_….pub file here")
			}
		}
	}
	return keys
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// container reads one service; its links are given back for later.
func (r *reader) container(n *node) (spec.Service, []*node, bool) {
	f := r.object(n, "Containers[]")
	s := spec.Service{Name: r.text(f, "Name"), Image: r.text(f, "Image")}
	if s.Name == "" {
		if n.kind == object {
			r.Refuse(f.place("Name"), "a container has no name", `give it a "name"`)
		}
		return s, nil, false
	}
	at := "services." + s.Name
	if _, twice := r.Origins[at]; !twice {
		r.Origins[at] = f.place("Name")
		r.Origins[at+".image"] = f.place("Image")
		r.Origins[at+".replicas"] = f.place("Count")
		r.Origins[at+".environment"] = f.place("Environment")
	}
	s.Replicas = r.number(f, "Count", 0, 1000)
	if _, given := f.get("Count"); !given {
		r.Warn(f.place("Name"), s.Name+" has no count, which means 0 in geard: nothing will run", `add "count": 1`)
	}
	s.Environment = r.environment(f, "Containers[].Environment[]")
	r.publicPorts(f, &s)
	if r.text(f, "Affinity") != "" {
		r.Warn(f.place("Affinity"), "Affinity has no effect, as in geard", "take it out")
	}
	return s, r.list(f, "Links"), true
}

func (r *reader) publicPorts(f fields, s *spec.Service) {
	for _, n := range r.list(f, "PublicPorts") {
		before := len(r.Mistakes)
		p := r.object(n, "Containers[].PublicPorts[]")
		port := spec.Port{
			Internal: r.port(p, "Internal", 1),
			External: r.port(p, "External", 0),
			Protocol: spec.TCP,
			Access:   spec.Public,
		}
		if len(r.Mistakes) > before {
			continue
		}
		r.Origins[fmt.Sprintf("services.%s.ports[%d]", s.Name, len(s.Ports))] = n.at
		s.Ports = append(s.Ports, port)
		s.Expose = append(s.Expose, port.Internal)
	}
	slices.Sort(s.Expose)
	s.Expose = slices.Compact(s.Expose)
}

// environment reads variables; of two with one name geard's file kept the last.
func (r *reader) environment(f fields, itemPath string) map[string]string {
	var env map[string]string
	for _, n := range r.list(f, "Environment") {
		v := r.object(n, itemPath)
		name, value := r.text(v, "Name"), r.text(v, "Value")
		if name == "" {
			r.Refuse(v.place("Name"), "a variable has no name", `write {"name": …, "value": …}`)
			continue
		}
		if env == nil {
			env = map[string]string{}
		}
		if _, twice := env[name]; twice {
			r.Warn(v.place("Name"), "variable "+name+" is given twice; the last one counts", "keep one of them")
		}
		env[name] = value
	}
	return env
}

// service finds what was read so far.
func (r *reader) service(name string) *spec.Service {
	for i := range r.Project.Services {
		if r.Project.Services[i].Name == name {
			return &r.Project.Services[i]
		}
	}
	return nil
}

// links are read last: they may lead to containers further down.
func (r *reader) links() {
	for i, nodes := range r.pending {
		s := &r.Project.Services[i]
		for _, n := range nodes {
			r.Origins[fmt.Sprintf("services.%s.links[%d]", s.Name, len(s.Links))] = n.at
			if link, ok := r.link(n, *s); ok {
				s.Links = append(s.Links, link)
			}
		}
	}
}

func (r *reader) link(n *node, from spec.Service) (spec.Link, bool) {
	f := r.object(n, "Containers[].Links[]")
	l := spec.Link{To: r.text(f, "To")}
	if l.To == "" {
		if n.kind == object {
			r.Refuse(f.place("To"), "a link of "+from.Name+" leads nowhere", `name the target: "to": …`)
		}
		return l, false
	}
	r.loopback(f, l.To)
	for _, p := range r.list(f, "Ports") {
		if r.is(p, number, "Ports[]") {
			l.Ports = append(l.Ports, uint16(r.whole(p, "Ports", 1, math.MaxUint16)))
		}
	}
	for _, n := range r.list(f, "AliasPorts") {
		a := r.object(n, "Containers[].Links[].AliasPorts[]")
		internal, external := r.port(a, "Internal", 1), r.port(a, "External", 0)
		l.Ports = append(l.Ports, internal)
		if external != 0 && external != internal {
			r.later(a.at, "AliasPorts", fmt.Sprintf("AliasPorts comes later: %s does not see port %d of %s as %d", from.Name, internal, l.To, external),
				fmt.Sprintf("connect to %s:%d, or read the variables %s", l.To, internal, variables(l.To, internal)))
		}
	}
	l.Ports = slices.DeleteFunc(l.Ports, func(p uint16) bool { return p == 0 })
	r.target(n.at, from, l)
	return l, true
}

// loopback warns about what depends on geard's addresses inside the source.
func (r *reader) loopback(f fields, to string) {
	remedy := fmt.Sprintf("connect to the name %s, or read the variables %s", to, variables(to, 0))
	r.later(f.place("To"), "links", "geard's loopback link addresses (127.0.0.1 in the source) come later: the link is by name and variables", remedy)
	if r.flag(f, "NonLocal") {
		r.later(f.place("NonLocal"), "NonLocal", "NonLocal addresses (192.168.1.1 in the source) come later: the link is by name and variables", remedy)
	}
	if r.flag(f, "MatchPort") {
		r.later(f.place("MatchPort"), "MatchPort", "MatchPort addresses come later: the link is by name, where ports are always the target's own", remedy)
	}
}

// variables names those that tell of a link.
func variables(to string, port uint16) string {
	number := "…"
	if port != 0 {
		number = fmt.Sprint(port)
	}
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 'a' + 'A'
		}
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, to)
	return fmt.Sprintf("%s_PORT_%s_TCP_ADDR and %s_PORT_%s_TCP_PORT", name, number, name, number)
}

// target finds the mistakes that geard found, in its words.
func (r *reader) target(at problem.Place, from spec.Service, l spec.Link) {
	to := r.service(l.To)
	switch {
	case to == nil:
		r.Refuse(at, fmt.Sprintf("target %s not found for source %s", l.To, from.Name), "declare it, or remove the link")
	case len(to.Ports) == 0:
		r.Refuse(at, fmt.Sprintf("target %s has no public ports to link to from %s", l.To, from.Name), "give the target publicports")
	default:
		for _, p := range l.Ports {
			if !slices.ContainsFunc(to.Ports, func(q spec.Port) bool { return q.Internal == p }) {
				r.Refuse(at, fmt.Sprintf("target port %d on %s is not found, cannot link from %s", p, l.To, from.Name), "name a port of the target's publicports")
			}
		}
	}
}
