package project

import (
	"slices"
	"strings"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// LinkNet is the network of a link to a service of another project. All links of
// the project to that service share it.
type LinkNet struct {
	To     string // as the link says it: project/service
	Subnet string // CIDR; stays with it
}

// Join is a rollout's end of a link network.
type Join struct {
	Source  spec.ProjectID // the project that links
	Target  service.Target // the service that it links to
	Aliases []string       `json:",omitempty"` // what the target is called there, sorted; nil at the source's end
}

func (j Join) same(o Join) bool {
	return j.Source == o.Source && j.Target == o.Target && slices.Equal(j.Aliases, o.Aliases)
}

// Links is what the links between all projects come to. The zero Links knows
// of no other project.
type Links struct {
	refs  map[string]Ref // services that are there, by key
	order map[string]int // their places in the start order, by key
	ends  map[service.Target][]Join
}

// key names a service among those of all environments.
func key(environment, project, svc string) string {
	return strings.ToLower(environment + "/" + project + "/" + svc)
}

// LinksOf looks at all records.
func LinksOf(records []Record) Links {
	l := Links{refs: map[string]Ref{}, order: map[string]int{}, ends: map[service.Target][]Join{}}
	all := spec.Project{Services: make([]spec.Service, 0, len(records))}
	for i := range records {
		r := &records[i]
		for _, s := range r.Present() {
			own := key(r.Environment, r.Name, s.Name)
			l.refs[own] = Ref{r, s}
			declared, _ := r.Declared.Service(s.Name)
			all.Services = append(all.Services, asNode(*r, declared, own))
		}
	}
	order, _ := spec.StartOrder(all)
	for i, name := range order {
		l.order[name] = i
	}
	for _, ref := range l.refs {
		for _, ro := range ref.Service.Held() {
			for _, link := range ro.Spec.Links {
				if to, there := l.Target(*ref.Record, link); there {
					l.call(ref.Record.ID, to, link.Name())
				}
			}
		}
	}
	return l
}

// asNode is what of a service the order of starting depends on.
func asNode(r Record, s spec.Service, own string) spec.Service {
	node := spec.Service{Name: own, Priority: s.Priority}
	for _, n := range s.Needs {
		node.Needs = append(node.Needs, spec.Need{Service: key(r.Environment, r.Name, n.Service)})
	}
	for _, link := range s.Links {
		to := key(r.Environment, r.Name, link.To)
		if p, svc, outside := link.Outside(); outside {
			to = key(r.Environment, p, svc)
		}
		node.Links = append(node.Links, spec.Link{To: to})
	}
	return node
}

// Target finds the service of another project that a link of r's leads to.
func (l Links) Target(r Record, link spec.Link) (Ref, bool) {
	project, svc, outside := link.Outside()
	ref, there := l.refs[key(r.Environment, project, svc)]
	return ref, outside && there
}

// call gives a target's end of the link from a project one more name.
func (l Links) call(source spec.ProjectID, to Ref, alias string) {
	t := to.asTarget()
	i := slices.IndexFunc(l.ends[t], func(j Join) bool { return j.Source == source })
	if i < 0 {
		l.ends[t] = append(l.ends[t], Join{Source: source, Target: t})
		i = len(l.ends[t]) - 1
	}
	j := &l.ends[t][i]
	j.Aliases = append(j.Aliases, alias)
	slices.Sort(j.Aliases)
	j.Aliases = slices.Compact(j.Aliases)
}

// asTarget is what a link network that leads to r is labelled with.
func (r Ref) asTarget() service.Target {
	return service.Target{Project: r.Record.ID, Service: r.Service.ID}
}

// Joins are the ends that a rollout of s should have now.
func (l Links) Joins(r Record, s *Service, ro *Rollout) []Join {
	joins := slices.Clone(l.ends[Ref{&r, s}.asTarget()])
	for _, link := range ro.Spec.Links {
		to, there := l.Target(r, link)
		if !there {
			continue
		}
		if j := (Join{Source: r.ID, Target: to.asTarget()}); !slices.ContainsFunc(joins, j.same) {
			joins = append(joins, j)
		}
	}
	slices.SortFunc(joins, func(a, b Join) int { return strings.Compare(a.text(), b.text()) })
	return joins
}

func (j Join) text() string {
	return string(j.Source) + " " + string(j.Target.Project) + " " + string(j.Target.Service)
}

// before tells whether a starts before b, so that b may wait for it.
func (l Links) before(a, b Ref) bool {
	x, known := l.order[key(a.Record.Environment, a.Record.Name, a.Service.Name)]
	y, too := l.order[key(b.Record.Environment, b.Record.Name, b.Service.Name)]
	return known && too && x < y
}

// Rejoin records a new rollout for each service of r that lacks an end of a
// link: an engine gives the containers of a swarm service no further networks.
// An end that nobody is at any more goes at once where that costs nothing; a
// service whose old containers stop first keeps it until its next rollout. idle tells that no
// container is at the other end of a join.
func Rejoin(r Record, l Links, idle func(Join) bool, now time.Time) (Record, bool) {
	changed := false
	for _, present := range r.Present() {
		s := r.Service(present.Name)
		if s.Rollout(s.Target) == nil || s.Target != s.Active || !Lacks(r, s, l, idle) {
			continue
		}
		if !changed {
			r.Services, changed = slices.Clone(r.Services), true
			s = r.Service(present.Name)
		}
		s.Rollouts = slices.Clone(s.Rollouts)
		next := s.Rollout(s.Target).Anew(now)
		next.Number = s.Last() + 1
		s.Target = next.Number
		s.Add(next)
	}
	return r, changed
}

// Lacks tells whether the rollout of s that serves should make way for one with other
// ends of links, and none has failed to. idle tells that no container is at the
// other end of a join.
func Lacks(r Record, s *Service, l Links, idle func(Join) bool) bool {
	cur := s.Rollout(s.Target)
	want := l.Joins(r, s, cur)
	if last := s.Rollout(s.Last()); last.State == Failed && last.Image.ID != "" && last.Number != cur.Number && slices.EqualFunc(last.Joins, want, Join.same) {
		return false
	}
	for _, j := range want {
		if !slices.ContainsFunc(cur.Joins, j.same) {
			return true
		}
	}
	return !cur.Spec.Excludes(cur.Spec) && slices.ContainsFunc(cur.Joins, func(j Join) bool { return !slices.ContainsFunc(want, j.same) && idle(j) })
}

// joined tells whether a rollout is at its end of the link from a project.
func (r *Rollout) joined(source spec.ProjectID, alias string) bool {
	return slices.ContainsFunc(r.Joins, func(j Join) bool { return j.Source == source && slices.Contains(j.Aliases, alias) })
}

// Uses tells whether a rollout of s has or should have an end of the link
// network of j; what the target is called there does not matter.
func (l Links) Uses(r Record, s *Service, j Join) bool {
	this := func(o Join) bool { return o.Source == j.Source && o.Target == j.Target }
	return slices.ContainsFunc(s.Held(), func(ro *Rollout) bool {
		return slices.ContainsFunc(ro.Joins, this) || slices.ContainsFunc(l.Joins(r, s, ro), this)
	})
}

// LinkNet is the subnet of the network that leads from r to a service.
func (r *Record) LinkNet(to string) (string, bool) {
	i := slices.IndexFunc(r.Links, func(n LinkNet) bool { return strings.EqualFold(n.To, to) })
	if i < 0 {
		return "", false
	}
	return r.Links[i].Subnet, true
}

// Wire is a link network as it should be.
type Wire struct {
	Environment string
	Source      spec.ProjectID
	Target      service.Target
	Subnet      string
}

// Wire says which network a join is on; false when one of its ends is gone.
func (l Links) Wire(j Join) (Wire, bool) {
	var source *Record
	var to Ref
	for _, ref := range l.refs {
		if ref.Record.ID == j.Source {
			source = ref.Record
		}
		if ref.asTarget() == j.Target {
			to = ref
		}
	}
	if source == nil || to.Service == nil {
		return Wire{}, false
	}
	subnet, known := source.LinkNet(to.Record.Name + "/" + to.Service.Name)
	return Wire{source.Environment, j.Source, j.Target, subnet}, known
}
