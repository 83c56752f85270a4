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

// Hosts gives every domain that the records' services have, and who has it:
// the host alone, because a host is one project's, and the host with its path,
// because services of a project may share it.
func Hosts(records []Record, except spec.ProjectID) map[string]string {
	taken := map[string]string{}
	for _, r := range records {
		if r.ID == except {
			continue
		}
		for _, s := range r.Present() {
			for _, ro := range s.held() {
				for _, d := range ro.Spec.Domains {
					name := r.Environment + "." + r.Name + "." + s.Name
					if d.Host != "" {
						taken[d.Host] = name
					}
					taken[place(r.Environment, d)] = name
				}
			}
		}
	}
	return taken
}

// place is what a domain may not share with another: host and path; without a
// host, the path on its environment's own. Environments have no dot, so it
// cannot be mistaken for a host. Who has neither has its default domain alone,
// and that is nobody else's.
func place(env string, d spec.Domain) string {
	if d.Host == "" && d.Path != "" {
		return env + "." + d.Path
	}
	return d.Host + d.Path
}

// giveHosts finds domains that someone else has, in another project or in this one.
func giveHosts(env string, services []spec.Service, taken map[string]string) problem.List {
	var wrong problem.List
	used := maps.Clone(taken)
	if used == nil {
		used = map[string]string{}
	}
	for _, s := range services {
		for _, d := range s.Domains {
			at := place(env, d)
			owner, clash := taken[d.Host]
			if d.Host == "" || !clash {
				owner, clash = used[at]
			}
			if clash && at != "" {
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

// site is one place at which a service is served.
type site struct {
	host, path string
	port       uint16 // of the container
	pass       bool   // TLS is passed through as it is
}

var labelForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// sites lists where a service is served: its default domain
// SERVICE.PROJECT.ENV.suffix first, then what it asked for. Without a suffix
// there are no default domains; a name that is no host name has none either.
func sites(ref Ref, suffix string) []site {
	env, s := ref.Record.Environment, ref.Service.Current().Spec
	var all []site
	for i, d := range s.Domains {
		port, err := backendPort(s, d)
		if err != nil { // Declare refused a domain without a clear port
			continue
		}
		labels := []string{strings.ToLower(s.Name), strings.ToLower(ref.Record.Name), env}
		bad := slices.ContainsFunc(labels, func(l string) bool { return !labelForm.MatchString(l) })
		if i == 0 && d.TLS == "" && suffix != "" && !bad {
			all = append(all, site{strings.Join(append(labels, suffix), "."), "", port, false})
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
	s := ref.Service.Current().Spec
	for _, at := range sites(ref, suffix) {
		taken := slices.ContainsFunc(t.HTTP, func(r route.HTTP) bool { return r.Host == at.host && (at.pass || r.Path == at.path) })
		if taken || slices.ContainsFunc(t.Pass, func(r route.Pass) bool { return r.Host == at.host }) {
			continue
		}
		targets := Targets(ref.Record.Environment, o, at.port)
		if at.pass {
			t.Pass = append(t.Pass, route.Pass{
				Host: at.host, Access: cmp.Or(s.Access, spec.Public), Service: ref.String(),
				Proxy: s.Front.Proxy, Rate: s.Front.Rate, Sticky: s.Front.Sticky, Targets: targets,
			})
			continue
		}
		front := s.Front
		front.Strip = front.Strip && at.path != ""
		t.HTTP = append(t.HTTP, route.HTTP{
			Host: at.host, Path: at.path, Access: cmp.Or(s.Access, spec.Public), Service: ref.String(), Front: front,
			Targets: targets,
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
