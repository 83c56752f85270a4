package route

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"havre/internal/pattern"
	"havre/internal/problem"
	"havre/internal/spec"
)

var (
	containerForm = pattern.New(`^[0-9a-f]{64}$`)
	hostForm      = pattern.New(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// finder collects the mistakes of one table.
type finder struct{ found problem.List }

func (f *finder) add(format string, args ...any) {
	f.found = append(f.found, problem.New(problem.Invalid, format, args...))
}

// Validate finds everything that is wrong with t. A TCP route may take the
// HTTP or HTTPS port: it then goes before the routes by host name.
// Errors: Invalid, as a problem.List.
func (t Table) Validate() error {
	f := &finder{}
	if c := t.Canonical(); c.HTTPPort == c.HTTPSPort {
		f.add("HTTP and HTTPS cannot both have port %d", c.HTTPPort)
	}
	ports := map[uint16]string{}
	for _, r := range t.TCP {
		f.port("tcp", r, ports)
	}
	packets := map[uint16]string{}
	for _, r := range t.UDP {
		f.port("udp", TCP(r), packets)
	}
	hosts := map[string]string{}
	for _, r := range t.HTTP {
		f.http(r, hosts)
	}
	for _, r := range t.Pass { // what is passed through cannot be answered here too
		if slices.ContainsFunc(t.HTTP, func(h HTTP) bool { return h.Host == r.Host }) && hosts[r.Host] == "" {
			hosts[r.Host] = "a path of it"
		}
		f.http(HTTP{Host: r.Host, Access: r.Access, Service: r.Service, Stopped: r.Stopped, Front: spec.Front{Proxy: r.Proxy, Rate: r.Rate, Sticky: r.Sticky}, Targets: r.Targets}, hosts)
	}
	certified := map[string]bool{}
	for _, c := range t.Certificates {
		f.certificate(c, certified)
	}
	return f.found.AsError()
}

func (f *finder) port(protocol string, r TCP, seen map[uint16]string) {
	what := fmt.Sprintf("%s port %d", protocol, r.Listen)
	if r.Listen == 0 {
		f.add("a %s route of %q has no port", protocol, r.Service)
	}
	if other, twice := seen[r.Listen]; twice {
		f.add("%s leads to %q and to %q", what, other, r.Service)
	}
	seen[r.Listen] = r.Service
	wrong, _ := spec.Front{Proxy: r.Proxy, Rate: r.Rate, Sticky: r.Sticky}.Mistakes()
	for _, w := range wrong {
		f.add("%s: %s", what, w)
	}
	f.end(what, r.Access, r.Service, r.Targets)
}

func (f *finder) http(r HTTP, seen map[string]string) {
	what := fmt.Sprintf("host %q", r.Host+r.Path)
	if !ValidHost(strings.TrimPrefix(r.Host, "*.")) {
		f.add("%s is not a host name in lower case", what)
	}
	if r.Path != "" && !spec.ValidPath(r.Path) {
		f.add("%s: that path can be read in two ways", what)
	}
	if other, twice := seen[r.Host+r.Path]; twice {
		f.add("%s leads to %q and to %q", what, other, r.Service)
	}
	seen[r.Host+r.Path] = r.Service
	wrong, _ := r.Front.Mistakes()
	for _, w := range wrong {
		f.add("%s: %s", what, w)
	}
	if r.Stopped && len(r.Targets) > 0 {
		f.add("%s is stopped and leads to containers", what)
	}
	f.end(what, r.Access, r.Service, r.Targets)
}

func (f *finder) end(what string, a spec.Access, service string, targets []Target) {
	if !a.Known() {
		f.add("%s: access %q is unknown", what, a)
	}
	if service == "" || len(service) > 255 || strings.ContainsFunc(service, func(r rune) bool { return !unicode.IsPrint(r) }) {
		f.add("%s: %q cannot name a service", what, service)
	}
	seen := map[Target]bool{}
	for _, t := range targets {
		if err := t.Validate(); err != nil {
			f.add("%s: %v", what, err)
		}
		t.Address = t.Address.Unmap()
		if seen[t] {
			f.add("%s: container %.12s stands there twice", what, t.Container)
		}
		seen[t] = true
	}
}

// Validate tells whether t is well formed. Whether the container is there is
// for the portal to say.
// Errors: Invalid.
func (t Target) Validate() error {
	a := t.Address.Unmap()
	switch {
	case !spec.ValidEnvironment(t.Environment):
		return problem.New(problem.Invalid, "%q is not an environment", t.Environment)
	case !containerForm.MatchString(t.Container):
		return problem.New(problem.Invalid, "%q is not a container's whole id", t.Container)
	case !a.IsValid() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast():
		return problem.New(problem.Invalid, "%q is not a container's address", t.Address)
	case t.Port == 0:
		return problem.New(problem.Invalid, "container %.12s has no port", t.Container)
	}
	return nil
}

func (f *finder) certificate(c Certificate, seen map[string]bool) {
	if len(c.Hosts) == 0 {
		f.add("a certificate is for no host")
		return
	}
	pair, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key))
	if err != nil {
		f.add("%s: the chain and the key are no pair", c)
	}
	for _, h := range c.Hosts {
		if !ValidHost(strings.TrimPrefix(h, "*.")) {
			f.add("%s: %q is not a host name in lower case", c, h)
		}
		if seen[h] {
			f.add("host %q has two certificates", h)
		}
		seen[h] = true
		if err == nil && pair.Leaf.VerifyHostname(strings.Replace(h, "*", "any", 1)) != nil {
			f.add("%s: it is not made out for %q", c, h)
		}
	}
}

// ValidHost tells whether h is a host name in lower case.
func ValidHost(h string) bool { return len(h) <= 253 && hostForm.MatchString(h) }

func hostList(hosts []string) string { return strings.Join(hosts, ", ") }
