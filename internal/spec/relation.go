package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

func (f *finder) relations(at string, p Project, s Service) {
	for i, n := range s.Needs {
		here := fmt.Sprintf("%s.needs[%d]", at, i)
		target, ok := p.Service(n.Service)
		switch {
		case !ok:
			f.invalid(here, "declare it, or leave it out of depends_on", "%s needs %s, which is not declared", s.Name, n.Service)
		case n.Condition != Started && n.Condition != Healthy && n.Condition != Completed:
			f.invalid(here, "use started, healthy or completed", "condition %q is unknown", n.Condition)
		case n.Condition == Completed && target.Restart.Policy != Never && target.Restart.Policy != OnFailure:
			f.invalid(here, "set restart: \"no\" on "+n.Service, "%s waits for %s to complete, but that one is restarted whenever it ends", s.Name, n.Service)
		}
	}
	for i, l := range s.Links {
		here := fmt.Sprintf("%s.links[%d]", at, i)
		if _, _, outside := l.Outside(); outside {
			f.outside(here, p, l)
		} else if _, ok := p.Service(l.To); !ok {
			f.invalid(here, "declare it, or remove the link; a service of another project is written as project/"+l.To, "target %s not found for source %s", l.To, s.Name)
		}
		if l.Alias != "" && !ValidAlias(l.Alias) {
			f.invalid(here, aliasRemedy, "%q cannot be an alias", l.Alias)
		}
	}
}

// outside looks at the form of a link to another project. Whether there is such
// a service only the server knows.
func (f *finder) outside(here string, p Project, l Link) {
	project, service, _ := l.Outside()
	switch {
	case strings.Contains(service, "/"):
		f.invalid(here, "write project/service; links do not leave their environment", "%q is no target of a link", l.To)
	case !ValidName(project) || !ValidName(service):
		f.invalid(here, "write it as project/service", "%q is no target of a link", l.To)
	case strings.EqualFold(project, p.Name):
		f.invalid(here, "write just "+service, "%s is of this very project", l.To)
	}
}

// aliases finds names of links that would mean two services: on a project's
// network a name is the same for all.
func (f *finder) aliases(p Project) {
	means := map[string]string{}
	for _, s := range p.Services {
		means[strings.ToLower(s.Name)] = s.Name
	}
	for _, s := range p.Services {
		for _, a := range s.Aliases {
			if _, taken := means[strings.ToLower(a)]; !taken {
				means[strings.ToLower(a)] = s.Name
			}
		}
	}
	for _, s := range p.Services {
		for i, l := range s.Links {
			alias := strings.ToLower(l.Name())
			if other, taken := means[alias]; taken && !strings.EqualFold(other, l.To) {
				f.invalid(fmt.Sprintf("services.%s.links[%d]", s.Name, i), "choose another alias", "%s would mean both %s and %s to all services of the project", l.Name(), other, l.To)
			}
			means[alias] = l.To
		}
	}
}

// externals finds one port of the machine asked for twice.
func (f *finder) externals(p Project) {
	type port struct {
		n uint16
		p Protocol
	}
	taken := map[port]string{}
	for _, s := range p.Services {
		for i, want := range s.Ports {
			if want.External == 0 {
				continue
			}
			k := port{want.External, want.Protocol}
			if other, twice := taken[k]; twice {
				f.invalid(fmt.Sprintf("services.%s.ports[%d]", s.Name, i), "give one of them another port", "port %d/%s is wanted by %s and by %s", want.External, want.Protocol, other, s.Name)
			}
			taken[k] = s.Name
		}
	}
}

// cycles finds needs that wait for each other. Links may be cyclic.
func (f *finder) cycles(p Project) {
	if _, ring := StartOrder(p); len(ring) > 0 {
		f.invalid("services."+ring[0]+".needs", "take one depends_on out; links may go in circles", "services wait for each other: %s", strings.Join(append(ring, ring[0]), " needs "))
	}
}

// StartOrder sorts the services' names so that each comes after what it needs;
// where that says nothing, after what it links to, then by priority, then by
// name. When needs go in a circle the second value holds the circle.
func StartOrder(p Project) (order, ring []string) {
	const open, done = 1, 2
	state := map[string]int{}
	byName := make(map[string]*Service, len(p.Services))
	for i := range p.Services {
		byName[p.Services[i].Name] = &p.Services[i]
	}
	var trail []string
	var visit func(name string) bool
	visit = func(name string) bool {
		s, ok := byName[name]
		if !ok || state[name] == done {
			return true
		}
		if state[name] == open {
			ring = slices.Clone(trail[slices.Index(trail, name):])
			return false
		}
		state[name] = open
		trail = append(trail, name)
		for _, n := range s.Needs {
			if !visit(n.Service) {
				return false
			}
		}
		state[name] = done
		trail = trail[:len(trail)-1]
		order = append(order, name)
		return true
	}
	for _, s := range linkedFirst(p) {
		if !visit(s) {
			return order, ring
		}
	}
	return order, nil
}

// linkedFirst sorts names by priority and name, and puts the target of a link
// before its source unless the links go in a circle: there priority decides,
// then the name.
func linkedFirst(p Project) []string {
	sorted := make([]*Service, len(p.Services))
	for i := range p.Services {
		sorted[i] = &p.Services[i]
	}
	slices.SortStableFunc(sorted, func(a, b *Service) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), strings.Compare(a.Name, b.Name))
	})
	c := circles{place: map[string]int{}, all: sorted, low: map[int]int{}, done: map[int]bool{}}
	for i, s := range sorted {
		c.place[s.Name] = i
	}
	for i := range sorted {
		if _, seen := c.low[i]; !seen {
			c.visit(i)
		}
	}
	return c.order
}

// circles finds services whose links lead round and back (Tarjan's strongly
// connected components, SIAM J. Comput. 1, 1972), targets first. Services are
// known by their place in all, which is by priority and name.
type circles struct {
	all   []*Service
	place map[string]int
	low   map[int]int  // the earliest visited one that a service leads to, as the number of its visit
	done  map[int]bool // in order already
	trail []int
	order []string
}

func (c *circles) visit(i int) {
	number := len(c.low)
	c.low[i] = number
	from := len(c.trail)
	c.trail = append(c.trail, i)
	for _, l := range c.all[i].Links {
		j, there := c.place[l.To]
		if !there || c.done[j] {
			continue
		}
		if _, seen := c.low[j]; !seen {
			c.visit(j)
		}
		c.low[i] = min(c.low[i], c.low[j])
	}
	if c.low[i] != number {
		return
	}
	circle := slices.Clone(c.trail[from:])
	c.trail = c.trail[:from]
	slices.Sort(circle)
	for _, j := range circle {
		c.done[j] = true
		c.order = append(c.order, c.all[j].Name)
	}
}
