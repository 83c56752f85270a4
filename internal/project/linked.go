package project

import (
	"net/netip"
	"slices"
	"strings"

	"havre/internal/problem"
	"havre/internal/spec"
)

// connect looks up the targets of links to other projects: it writes their names
// as they were declared, and gives each a network. p is changed in place.
// It gives what is wrong with them.
func (d *Deployer) connect(records []Record, old Record, p *spec.Project, found *Found) (problem.List, error) {
	var wrong problem.List
	found.Linked, found.Links = map[string]spec.Service{}, old.remembered()
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
			if _, has := (&Record{Links: found.Links}).linkNet(l.To); has {
				continue
			}
			subnet, oops := d.unused(append(slices.Clone(records), Record{Subnet: old.Subnet, Links: found.Links}))
			if oops != nil {
				return nil, oops
			}
			found.Links = append(found.Links, LinkNet{l.To, subnet})
		}
	}
	return append(wrong, called(records, old, *p)...), nil
}

// remembered are the networks of links that any rollout has which could come
// back.
func (r Record) remembered() []LinkNet {
	var kept []LinkNet
	for _, n := range r.Links {
		if slices.ContainsFunc(r.Services, func(s Service) bool {
			return slices.ContainsFunc(s.Rollouts, func(ro Rollout) bool {
				return slices.ContainsFunc(ro.Spec.Links, func(l spec.Link) bool { return strings.EqualFold(l.To, n.To) })
			})
		}) {
			kept = append(kept, n)
		}
	}
	return kept
}

// elsewhere finds the target of a link to another project.
func elsewhere(records []Record, environment, source string, l spec.Link) (Ref, *problem.Problem) {
	project, name, _ := l.Outside()
	stranger := ""
	for i := range records {
		r := &records[i]
		for _, s := range r.Present() {
			switch {
			case !strings.EqualFold(r.Name, project) || !strings.EqualFold(s.Name, name) || s.Rollout(s.Target) == nil:
			case r.Environment == environment:
				return Ref{r, s}, nil
			default:
				stranger = r.Environment
			}
		}
	}
	if stranger != "" {
		return Ref{}, problem.New(problem.Denied, "%s links to %s, which is of environment %s: links do not leave their environment", source, l.To, stranger).
			With("apply %s to %s too, or use a published port", project, environment)
	}
	return Ref{}, problem.New(problem.NotFound, "%s links to %s, and there is no such service", source, l.To).With("apply project %s first, or take the link out for now", project)
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
func clash(to Ref, l spec.Link, there spec.Project) *problem.Problem {
	means, taken := names(there)[strings.ToLower(l.Name())]
	if !taken || means == to.Service.Name {
		return nil
	}
	return problem.New(problem.Conflict, "a link calls %s %s, and in project %s that name means %s", l.To, l.Name(), to.Record.Name, means).
		With("give the link another alias")
}

// called finds links of other projects to old's services that p breaks.
func called(records []Record, old Record, p spec.Project) problem.List {
	var wrong problem.List
	for _, c := range callers(records, old) {
		_, name, _ := c.link.Outside()
		i := slices.IndexFunc(p.Services, func(s spec.Service) bool { return strings.EqualFold(s.Name, name) })
		if i < 0 {
			wrong = append(wrong, problem.New(problem.Conflict, "%s is not declared any more, and %s links to it", name, c.who).With("take the link out of %s first", c.who))
			continue
		}
		if err := clash(Ref{&Record{Name: p.Name}, &Service{Name: p.Services[i].Name}}, c.link, p); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong
}

// caller is a service with a link to another project.
type caller struct {
	who  string // project.service
	link spec.Link
}

// callers are the services of other projects with links to r's.
func callers(records []Record, r Record) []caller {
	var all []caller
	for _, o := range records {
		if o.Environment != r.Environment || o.ID == r.ID || o.Removed {
			continue
		}
		for _, s := range o.Declared.Services {
			for _, l := range s.Links {
				if project, _, outside := l.Outside(); outside && strings.EqualFold(project, r.Name) {
					all = append(all, caller{o.Name + "." + s.Name, l})
				}
			}
		}
	}
	return all
}

// unused is a subnet that nobody has: no project, no link, nor a network that
// is about to go.
func (d *Deployer) unused(records []Record) (string, error) {
	used, err := d.Machine.Routes()
	if err != nil {
		return "", err
	}
	var texts []string
	for _, r := range records {
		texts = append(texts, r.Subnet)
		for _, l := range r.Links {
			texts = append(texts, l.Subnet)
		}
	}
	snap := d.Loop.View().Snapshot
	for _, n := range append(slices.Clone(snap.Networks), snap.Links...) {
		texts = append(texts, n.Subnet)
	}
	for _, t := range texts {
		if p, err := netip.ParsePrefix(t); err == nil {
			used = append(used, p)
		}
	}
	subnet, err := Subnet(d.Pool, used, anywhere(d.Pool))
	return subnet.String(), err
}

// remade tells of services of other projects that get new containers because of
// what o declares.
func remade(records []Record, o Outcome) []problem.Problem {
	all := slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return r.ID == o.Record.ID })
	all = append(all, o.Record)
	links := LinksOf(all)
	var notes []problem.Problem
	for _, r := range all {
		for _, s := range r.Present() {
			cur := s.Rollout(s.Target)
			if r.ID == o.Record.ID || cur == nil || s.Target != s.Active || !lacks(r, s, links, func(Join) bool { return false }) {
				continue
			}
			p := problem.New(problem.Conflict, "%s.%s gets new containers, to join the network of the link", r.Name, s.Name).With("nobody is cut off: the old ones serve until the new ones are healthy")
			if cur.Spec.WritesData() && cur.Spec.Runs() {
				p = p.With("it writes data, so it stops for a moment")
			}
			notes = append(notes, *p)
		}
	}
	return notes
}

// linkedBy names a service of another project that links to what goes.
func linkedBy(records []Record, ref Ref) string {
	for _, c := range callers(records, *ref.Record) {
		_, name, _ := c.link.Outside()
		if ref.Service == nil || strings.EqualFold(ref.Service.Name, name) {
			return c.who
		}
	}
	return ""
}

// view is what the loop saw, together with what is remembered.
func (d *Deployer) view(records []Record) View {
	v := d.Loop.View()
	v.Links = LinksOf(records)
	return v
}
