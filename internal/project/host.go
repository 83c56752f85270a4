package project

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"havre/internal/problem"
	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// Hosts gives every domain that the records' services have, default domains
// below suffix among them, and who has it: the host alone, because a host is
// one project's, and the host with its path, because services of a project may
// share it.
func Hosts(records []Record, except spec.ProjectID, suffix string) map[string]string {
	taken := map[string]string{}
	for _, r := range records {
		if r.ID == except {
			continue
		}
		for _, s := range r.Present() {
			for _, ro := range s.Held() {
				name := r.Environment + "." + r.Name + "." + s.Name
				for _, d := range ro.Spec.Domains {
					if d.Host != "" {
						taken[d.Host] = name
					}
					taken[place(r.Environment, d, suffix)] = name
				}
				if host := ordinary(r, ro.Spec, suffix); host != "" && taken[host] == "" {
					taken[host] = byDefault(name)
				}
			}
		}
	}
	delete(taken, "") // of who has its default domain alone
	return taken
}

func byDefault(owner string) string { return owner + ", whose default domain it is" }

// place is what a domain may not share with another: host and path; without a
// host, the path on its environment's own. Environments have no dot, so without
// a suffix it cannot be mistaken for a host. Who has neither has its default
// domain alone.
func place(env string, d spec.Domain, suffix string) string {
	switch {
	case d.Host != "" || d.Path == "":
		return d.Host + d.Path
	case suffix == "":
		return env + "." + d.Path
	}
	return env + "." + suffix + d.Path
}

// ordinary is a service's default domain SERVICE.PROJECT.ENV.suffix, "" when it
// has none: without a suffix, without anything to serve over HTTP, or where a
// name is no host name.
func ordinary(r Record, s spec.Service, suffix string) string {
	if suffix == "" || len(s.Domains) == 0 || s.Domains[0].TLS != "" {
		return ""
	}
	labels := []string{strings.ToLower(s.Name), strings.ToLower(r.Name), r.Environment}
	if slices.ContainsFunc(labels, func(l string) bool { return !labelForm.MatchString(l) }) {
		return ""
	}
	return strings.Join(append(labels, suffix), ".")
}

// ClashingHosts finds domains of r's services that someone else has, in another
// project (taken, as of Hosts) or in this one, and those that lead to no clear
// port. Of two at one place only one would be served.
func ClashingHosts(r Record, services []spec.Service, taken map[string]string, suffix string) problem.List {
	var wrong problem.List
	used := maps.Clone(taken)
	if used == nil {
		used = map[string]string{}
	}
	for _, s := range services {
		host := ordinary(r, s, suffix)
		if host == "" {
			continue
		}
		if owner, clash := used[host]; clash {
			wrong = append(wrong, problem.New(problem.Conflict, "%s, the default domain of %s, belongs to %s", host, s.Name, owner).
				With("name the service or the project otherwise, or take the domain from there first"))
		}
		used[host] = byDefault(r.Environment + "." + r.Name + "." + s.Name)
	}
	for _, s := range services {
		for _, d := range s.Domains {
			at := place(r.Environment, d, suffix)
			owner, clash := taken[d.Host]
			if d.Host == "" || !clash {
				owner, clash = used[at]
			}
			own := d.TLS == "" && at == ordinary(r, s, suffix)
			if clash && at != "" && !own {
				wrong = append(wrong, problem.New(problem.Conflict, "the domain %s%s, which %s wants, belongs to %s", d.Host, d.Path, s.Name, owner).
					With("choose another domain, or remove that service first"))
			}
			used[at] = s.Name
			if _, err := backendPort(s, d); err != nil {
				wrong = append(wrong, problem.Of(err))
			}
		}
	}
	return wrong
}

// LostHosts finds domains that a former rollout of ref's service had and somebody
// else has by now. others are all records, without that service.
func LostHosts(ref Ref, ro Rollout, others []Record, suffix string) problem.List {
	var wrong problem.List
	hosts, ours := Hosts(others, ref.Record.ID, suffix), Hosts(others, "", suffix)
	domains := append(slices.Clone(ro.Spec.Domains), spec.Domain{Host: ordinary(*ref.Record, ro.Spec, suffix)})
	for _, h := range domains {
		who, taken := hosts[h.Host]
		if h.Host == "" || !taken {
			who, taken = ours[place(ref.Record.Environment, h, suffix)]
		}
		if taken && h != (spec.Domain{Port: h.Port}) {
			wrong = append(wrong, problem.New(problem.Conflict, "the domain %s, which r%d had, belongs to %s", h.Host, ro.Number, who).
				With("take it from there, or apply a file with another domain"))
		}
	}
	return wrong
}

// site is one place at which a service is served.
type site struct {
	host, path string
	port       uint16 // of the container
	pass       bool   // TLS is passed through as it is
}

var labelForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// sites lists where a service is served: its default domain first, then what it
// asked for.
func sites(ref Ref, suffix string) []site {
	env, s := ref.Record.Environment, ref.Service.Current().Spec
	var all []site
	for i, d := range s.Domains {
		port, err := backendPort(s, d)
		if err != nil { // Declare refused a domain without a clear port
			continue
		}
		if host := ordinary(*ref.Record, s, suffix); i == 0 && host != "" {
			all = append(all, site{host, "", port, false})
		}
		switch {
		case d.Host != "":
			all = append(all, site{d.Host, d.Path, port, d.TLS == spec.Passthrough})
		case d.Path != "" && suffix != "":
			all = append(all, site{env + "." + suffix, d.Path, port, false})
		}
	}
	return all
}

// leadHosts adds a service's routes by host name, but for those that lead
// elsewhere already.
func leadHosts(t *route.Table, ref Ref, o service.Observed, suffix string) {
	s, rests := ref.Service.Current().Spec, turnOf(ref.Service) == stopped
	for _, at := range sites(ref, suffix) {
		taken := slices.ContainsFunc(t.HTTP, func(r route.HTTP) bool { return r.Host == at.host && (at.pass || r.Path == at.path) })
		if taken || slices.ContainsFunc(t.Pass, func(r route.Pass) bool { return r.Host == at.host }) {
			continue
		}
		targets := Targets(ref.Record.Environment, o, at.port)
		if at.pass {
			t.Pass = append(t.Pass, route.Pass{
				Host: at.host, Access: cmp.Or(s.Access, spec.Public), Service: ref.String(),
				Proxy: s.Front.Proxy, Rate: s.Front.Rate, Sticky: s.Front.Sticky, Stopped: rests, Targets: targets,
			})
			continue
		}
		front := s.Front
		front.Strip = front.Strip && at.path != ""
		t.HTTP = append(t.HTTP, route.HTTP{
			Host: at.host, Path: at.path, Access: cmp.Or(s.Access, spec.Public), Service: ref.String(), Front: front,
			Stopped: rests, Targets: targets,
		})
	}
}

// URLs are where people reach a service: its domains, or where it asked for
// none by name, the default one. The port is the ingress' own.
func URLs(ref Ref, suffix string, httpsPort uint16) []string {
	all := sites(ref, "")
	if len(all) == 0 {
		all = sites(ref, suffix)
	}
	var urls []string
	for _, at := range all {
		if strings.HasPrefix(at.host, "*.") {
			continue
		}
		u := "https://" + at.host
		if httpsPort != 443 && httpsPort != 0 {
			u += fmt.Sprintf(":%d", httpsPort)
		}
		urls = append(urls, u+at.path+"/")
	}
	return urls
}

// backendPort is the port a domain of s leads to.
// Errors: Invalid, when that is not clear.
func backendPort(s spec.Service, d spec.Domain) (uint16, error) {
	if d.Port != 0 {
		return d.Port, nil
	}
	candidates := service.InnerPorts(s)
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
