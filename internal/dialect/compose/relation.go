package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"havre/internal/problem"
	"havre/internal/spec"
)

// conditions in Compose's words and ours.
var conditions = map[string]spec.Condition{
	"":                            spec.Started,
	types.ServiceConditionStarted: spec.Started,
	types.ServiceConditionHealthy: spec.Healthy,
	types.ServiceConditionCompletedSuccessfully: spec.Completed,
}

func (r *reader) needs(name string, s types.ServiceConfig) []spec.Need {
	var needs []spec.Need
	places := r.items(name, "depends_on", itself)
	for other, d := range s.DependsOn {
		_, here := r.project.Services[other]
		_, disabled := r.project.DisabledServices[other]
		switch {
		case !here && !d.Required:
			continue
		case !here && !disabled:
			r.Refuse(places.at(other), fmt.Sprintf("%s needs %s, which is not declared", name, other), r.meant("services", other, "declare it, or leave it out of depends_on", name))
			continue
		case disabled:
			r.leftOut(places.at(other), name, other)
			continue
		}
		condition, ok := conditions[d.Condition]
		if !ok {
			r.Refuse(r.at(name, "depends_on", other, "condition"), fmt.Sprintf("condition %q is unknown", d.Condition),
				"use service_started, service_healthy or service_completed_successfully")
			condition = spec.Started
		}
		needs = append(needs, spec.Need{Service: other, Condition: condition})
	}
	slices.SortFunc(needs, func(a, b spec.Need) int { return strings.Compare(a.Service, b.Service) })
	places = r.items(name, "depends_on", itself)
	for i, n := range needs {
		r.Origins[fmt.Sprintf("services.%s.needs[%d]", name, i)] = places.at(n.Service)
	}
	return needs
}

// leftOut refuses to need a service of which no profile is chosen.
func (r *reader) leftOut(at problem.Place, name, other string) {
	r.Refuse(at, fmt.Sprintf("%s needs %s, which is left out: none of its profiles is chosen", name, other),
		"choose one: COMPOSE_PROFILES="+strings.Join(r.project.DisabledServices[other].Profiles, ","))
}

// awaited finds the services that others wait for to complete.
func awaited(p *types.Project) map[string]bool {
	found := map[string]bool{}
	for _, s := range p.Services {
		for other, d := range s.DependsOn {
			if d.Condition == types.ServiceConditionCompletedSuccessfully {
				found[other] = true
			}
		}
	}
	return found
}

// links reads Compose's links: a need, and variables.
func (r *reader) links(to *spec.Service, s types.ServiceConfig) {
	places := r.items(to.Name, "links", itself)
	for _, l := range s.Links {
		other, alias, _ := strings.Cut(l, ":")
		if alias == other {
			alias = ""
		}
		at := places.at(l)
		if _, disabled := r.project.DisabledServices[other]; disabled {
			r.leftOut(at, to.Name, other)
			continue
		}
		r.Origins[fmt.Sprintf("services.%s.links[%d]", to.Name, len(to.Links))] = at
		to.Links = append(to.Links, spec.Link{To: other, Alias: alias})
		if other != to.Name && !slices.ContainsFunc(to.Needs, func(n spec.Need) bool { return n.Service == other }) {
			r.Origins[fmt.Sprintf("services.%s.needs[%d]", to.Name, len(to.Needs))] = at
			to.Needs = append(to.Needs, spec.Need{Service: other, Condition: spec.Started})
		}
	}
}

// aliases are more names on the network, and the container's name.
func (r *reader) aliases(to *spec.Service, s types.ServiceConfig) {
	names := make([]string, 0, len(s.Networks))
	for network := range s.Networks {
		names = append(names, network)
	}
	slices.Sort(names)
	places := r.items(to.Name, "networks", itself)
	for _, network := range names {
		at := places.at(network)
		if declared, _ := r.forest.find("networks", network); declared == nil && network != "default" {
			r.Refuse(at, fmt.Sprintf("network %s is not declared", network), r.meant("networks", network, "take it out: all services of a project share one network"))
		}
		if c := s.Networks[network]; c != nil {
			at = r.at(to.Name, "networks", network, "aliases")
			for _, alias := range c.Aliases {
				r.alias(to, alias, at)
			}
		}
	}
	for _, service := range r.chain(to.Name) {
		if t, ok := r.gone["services."+service+".container_name"]; ok && t.value != "" {
			r.Warn(t.at, fmt.Sprintf("container_name %s is one more name on the network; in the engine the container is called otherwise", t.value),
				fmt.Sprintf("use havre exec and havre logs with %s", to.Name))
			r.alias(to, t.value, t.at)
			return
		}
	}
}

func (r *reader) alias(to *spec.Service, alias string, at problem.Place) {
	if alias == to.Name || slices.Contains(to.Aliases, alias) {
		return
	}
	r.Origins[fmt.Sprintf("services.%s.aliases[%d]", to.Name, len(to.Aliases))] = at
	to.Aliases = append(to.Aliases, alias)
}

// called is a service with a name, and the networks on which it has it.
type called struct {
	service string
	on      []string
	how     string // "service", "alias" or "container_name"
}

// called are all services by their names, in the order of the services.
func (r *reader) called() map[string][]called {
	all := map[string][]called{}
	for _, s := range r.Project.Services {
		networks, aliases := []string{"default"}, map[string][]string{}
		if given := r.project.Services[s.Name].Networks; len(given) > 0 {
			networks = slices.Sorted(maps.Keys(given))
			for _, network := range networks {
				if c := given[network]; c != nil {
					for _, alias := range c.Aliases {
						aliases[strings.ToLower(alias)] = append(aliases[strings.ToLower(alias)], network)
					}
				}
			}
		}
		own := strings.ToLower(s.Name)
		all[own] = append(all[own], called{s.Name, networks, "service"})
		for _, alias := range s.Aliases {
			alias = strings.ToLower(alias)
			if on, given := aliases[alias]; given {
				all[alias] = append(all[alias], called{s.Name, on, "alias"})
			} else {
				all[alias] = append(all[alias], called{s.Name, networks, "container_name"})
			}
		}
	}
	return all
}

// clashes refuses names that would mean two services and mean one to each
// service of the file: on networks of their own, which all become one here. On
// the same networks a name may be shared; but no container has another's.
func (r *reader) clashes() {
	for name, all := range r.called() {
		for i, b := range all {
			for _, a := range all[:i] {
				if a.service == b.service || slices.Equal(a.on, b.on) && (a.how == "alias" || b.how == "alias") {
					continue
				}
				if a.how != "service" && b.how == "service" {
					a, b = b, a
				}
				s, _ := r.Project.Service(b.service)
				at := slices.IndexFunc(s.Aliases, func(alias string) bool { return strings.EqualFold(alias, name) })
				r.Refuse(r.Origins.Find(fmt.Sprintf("services.%s.aliases[%d]", b.service, at)),
					fmt.Sprintf("%s would mean both %s and %s: services of a project share one network", name, a.service, b.service),
					"choose another name, or put services that must not meet into projects of their own")
			}
		}
	}
}

// networks warns when the file keeps services apart that will not be.
func (r *reader) networks() {
	used := map[string]bool{}
	for _, s := range r.project.Services {
		if len(s.Networks) == 0 {
			used["default"] = true
		}
		for network := range s.Networks {
			used[network] = true
		}
	}
	if len(used) < 2 {
		return
	}
	names := make([]string, 0, len(used))
	for network := range used {
		names = append(names, network)
	}
	slices.Sort(names)
	_, at := r.forest.find("networks")
	r.Warn(at, fmt.Sprintf("services of a project share one network: those on %s all reach each other", strings.Join(names, ", ")),
		"put services that must not meet into projects of their own")
}
