package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// connect looks up the targets of links to other projects: it writes their names
// as they were declared, and gives each a network. p is changed in place.
// It gives what is wrong with them.
func (d *Deployer) connect(records []project.Record, old project.Record, p *spec.Project, found *Found) (problem.List, error) {
	var wrong problem.List
	found.Linked, found.Links = map[string]spec.Service{}, goesOn(old)
	p.Services = slices.Clone(p.Services)
	for i := range p.Services {
		s := &p.Services[i]
		s.Links = slices.Clone(s.Links)
		for j, l := range s.Links {
			if _, _, outside := l.Outside(); !outside {
				continue
			}
			to, err := elsewhere(records, old.Environment, s.Name, l)
			if err != nil {
				wrong = append(wrong, err)
				continue
			}
			l.To = to.Record.Name + "/" + to.Service.Name
			s.Links[j], found.Linked[l.To] = l, to.Service.Rollout(to.Service.Target).Spec
			if err := clash(to, l, to.Record.Declared); err != nil {
				wrong = append(wrong, err)
			}
			if _, has := (&project.Record{Links: found.Links}).LinkNet(l.To); has {
				continue
			}
			subnet, oops := d.unused(append(slices.Clone(records), project.Record{Subnet: old.Subnet, Links: found.Links}), project.LinkBits)
			if oops != nil {
				return nil, oops
			}
			found.Links = append(found.Links, project.LinkNet{To: l.To, Subnet: subnet})
		}
	}
	return append(wrong, called(records, old, *p)...), nil
}

// goesOn are the networks of links that any rollout has which could come
// back.
func goesOn(r project.Record) []project.LinkNet {
	var kept []project.LinkNet
	for _, n := range r.Links {
		if slices.ContainsFunc(r.Services, func(s project.Service) bool {
			return slices.ContainsFunc(s.Rollouts, func(ro project.Rollout) bool {
				return slices.ContainsFunc(ro.Spec.Links, func(l spec.Link) bool { return strings.EqualFold(l.To, n.To) })
			})
		}) {
			kept = append(kept, n)
		}
	}
	return kept
}

// elsewhere finds the target of a link to another project.
func elsewhere(records []project.Record, environment, source string, l spec.Link) (project.Ref, *problem.Problem) {
	of, name, _ := l.Outside()
	stranger := ""
	for i := range records {
		r := &records[i]
		for _, s := range r.Present() {
			switch {
			case !strings.EqualFold(r.Name, of) || !strings.EqualFold(s.Name, name) || s.Rollout(s.Target) == nil:
			case r.Environment == environment:
				return project.Ref{Record: r, Service: s}, nil
			default:
				stranger = r.Environment
			}
		}
	}
	if stranger != "" {
		return project.Ref{}, problem.New(problem.Denied, "%s links to %s, which is of environment %s: links do not leave their environment", source, l.To, stranger).
			With("apply %s to %s too, or use a published port", of, environment)
	}
	return project.Ref{}, problem.New(problem.NotFound, "%s links to %s, and there is no such service", source, l.To).With("apply project %s first, or take the link out for now", of)
}

// names are what services of a project are called there, in lower case, and
// what each means.
func names(p spec.Project) map[string]string {
	means := map[string]string{}
	for _, s := range p.Services {
		for _, l := range s.Links {
			means[strings.ToLower(l.Name())] = l.To
		}
	}
	for _, s := range p.Services {
		for _, a := range append(slices.Clone(s.Aliases), s.Name) {
			means[strings.ToLower(a)] = s.Name
		}
	}
	return means
}

// clash finds a link's name that means something else where its target is: the
// target hears of both.
func clash(to project.Ref, l spec.Link, there spec.Project) *problem.Problem {
	means, taken := names(there)[strings.ToLower(l.Name())]
	if !taken || means == to.Service.Name {
		return nil
	}
	return problem.New(problem.Conflict, "a link calls %s %s, and in project %s that name means %s", l.To, l.Name(), to.Record.Name, means).
		With("give the link another alias")
}

// called finds links of other projects to old's services that p breaks.
func called(records []project.Record, old project.Record, p spec.Project) problem.List {
	var wrong problem.List
	for _, c := range callers(records, old) {
		_, name, _ := c.link.Outside()
		i := slices.IndexFunc(p.Services, func(s spec.Service) bool { return strings.EqualFold(s.Name, name) })
		if i < 0 {
			wrong = append(wrong, problem.New(problem.Conflict, "%s is not declared any more, and %s links to it", name, c.who).With("take the link out of %s first", c.who))
			continue
		}
		if err := clash(project.Ref{Record: &project.Record{Name: p.Name}, Service: &project.Service{Name: p.Services[i].Name}}, c.link, p); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong
}

// caller is a service with a link to another project.
type caller struct {
	who  string // project.service
	link spec.Link
	runs *spec.Service // what of it is to run; nil when nothing is
}

func runs(r project.Record, name string) *spec.Service {
	s := r.Service(name)
	if s == nil || s.Rollout(s.Target) == nil {
		return nil
	}
	return &s.Rollout(s.Target).Spec
}

// callers are the services of other projects with links to r's.
func callers(records []project.Record, r project.Record) []caller {
	var all []caller
	for _, o := range records {
		if o.Environment != r.Environment || o.ID == r.ID || o.Removed {
			continue
		}
		for _, s := range o.Declared.Services {
			for _, l := range s.Links {
				if project, _, outside := l.Outside(); outside && strings.EqualFold(project, r.Name) {
					all = append(all, caller{o.Name + "." + s.Name, l, runs(o, s.Name)})
				}
			}
		}
	}
	return all
}

// unused is a subnet that nobody has.
func (d *Deployer) unused(records []project.Record, bits int) (string, error) {
	return d.Addresses.Unused(records, d.Loop.View().Snapshot, bits)
}

// remade tells of services of other projects that get new containers because of
// what o declares.
func remade(records []project.Record, o Outcome) []problem.Problem {
	all := slices.DeleteFunc(slices.Clone(records), func(r project.Record) bool { return r.ID == o.Record.ID })
	all = append(all, o.Record)
	links := project.LinksOf(all)
	var notes []problem.Problem
	for _, r := range all {
		for _, s := range r.Present() {
			cur := s.Rollout(s.Target)
			if r.ID == o.Record.ID || cur == nil || s.Target != s.Active || !project.Lacks(r, s, links, func(project.Join) bool { return false }) {
				continue
			}
			p := problem.New(problem.Conflict, "%s.%s gets new containers, to join the network of the link", r.Name, s.Name).With("nobody is cut off: the old ones serve until the new ones are healthy")
			switch {
			case !cur.Spec.Runs():
			case cur.Spec.WritesData():
				p = p.With("it writes data, so it stops for a moment")
			case cur.Spec.Excludes(cur.Spec):
				p = p.With("its update_config.order is %s, so it stops for a moment", cur.Spec.Order)
			}
			notes = append(notes, *p)
		}
	}
	return notes
}

// retold tells of services of other projects whose link variables name other
// ports than o's targets have then: they hold what was true when their project
// was applied.
func retold(records []project.Record, o Outcome) []problem.Problem {
	var notes []problem.Problem
	for _, c := range callers(records, o.Record) {
		_, name, _ := c.link.Outside()
		to := o.Record.Service(name)
		if to == nil || to.Removed || to.Rollout(to.Target) == nil || len(c.link.Ports) > 0 {
			continue
		}
		was, now := c.told(), service.InnerPorts(to.Rollout(to.Target).Spec)
		if was == nil || slices.Equal(was, now) {
			continue
		}
		notes = append(notes, *problem.New(problem.Conflict, "%s was told by variables that %s/%s has the ports %s, and it has %s now", c.who, o.Record.Name, to.Name, joined(was), joined(now)).
			With("apply the project of %s again to renew them", c.who))
	}
	return notes
}

// told are the ports that the variables of a caller name; nil when nothing of
// it is to run.
func (c caller) told() []uint16 {
	if c.runs == nil {
		return nil
	}
	ports := []uint16{}
	for name, value := range c.runs.Environment {
		n, err := strconv.ParseUint(value, 10, 16)
		if err == nil && slices.Contains(service.LinkVariables(c.link.Name(), []uint16{uint16(n)}), name+"="+value) && strings.HasSuffix(name, "_TCP_PORT") {
			ports = append(ports, uint16(n))
		}
	}
	slices.Sort(ports)
	return ports
}

// linkedBy names the services of other projects that link to what goes.
func linkedBy(records []project.Record, ref project.Ref) []string {
	var all []string
	for _, c := range callers(records, *ref.Record) {
		_, name, _ := c.link.Outside()
		if (ref.Service == nil || strings.EqualFold(ref.Service.Name, name)) && !slices.Contains(all, c.who) {
			all = append(all, c.who)
		}
	}
	slices.Sort(all)
	return all
}

// linkedTo refuses to take a target away from those who link to it.
func linkedTo(who []string, ref project.Ref) error {
	verb, it := "links", "it"
	if len(who) > 1 {
		verb, it = "link", "them"
	}
	return problem.New(problem.Conflict, "%s %s to %s", strings.Join(who, ", "), verb, ref).
		With("take the link out of %s and apply again, or remove that first; with --force %s goes all the same, and their link leads nowhere", it, ref)
}

// view is what the loop saw, together with what is remembered.
func (d *Deployer) view(records []project.Record) project.View {
	v := d.Loop.View()
	v.Links = project.LinksOf(records)
	return v
}

func joined(ports []uint16) string {
	var words []string
	for _, p := range ports {
		words = append(words, fmt.Sprint(p))
	}
	return strings.Join(words, ", ")
}
