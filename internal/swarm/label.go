package swarm

import (
	"maps"
	"strconv"
	"strings"

	"github.com/moby/moby/client"

	"havre/internal/service"
	"havre/internal/spec"
)

// The labels that say whose a thing is. The guard checks them, adds the
// instance's, and lets nobody else set any.
const (
	labelInstance    = "havre.instance"
	labelEnvironment = "havre.env"
	labelProject     = "havre.project"
	labelService     = "havre.service"
	labelRollout     = "havre.rollout"
	labelKind        = "havre.kind"
	labelLink        = "havre.link"
)

// The kinds of things.
const (
	kindService = "service"
	kindPortal  = "portal"
	kindNetwork = "network"
	kindConfig  = "config"
	kindHook    = "hook"
	kindCarrier = "carrier"
	kindLink    = "link"
	kindSecret  = "secret"
)

// mark is what the labels say.
type mark struct {
	kind        string
	environment string
	project     spec.ProjectID
	service     spec.ServiceID
	rollout     int
	target      service.Target // of a link network
}

// markOf is the mark of everything that belongs to a rollout.
func markOf(d service.Desired) mark {
	return mark{kind: kindService, environment: d.Environment, project: d.Project, service: d.ID, rollout: d.Rollout}
}

// labels gives m as labels, on top of others.
func (m mark) labels(others map[string]string) map[string]string {
	all := maps.Clone(others)
	if all == nil {
		all = map[string]string{}
	}
	all[labelKind] = m.kind
	all[labelEnvironment] = m.environment
	if m.project != "" {
		all[labelProject] = string(m.project)
	}
	if m.service != "" {
		all[labelService] = string(m.service)
		all[labelRollout] = strconv.Itoa(m.rollout)
	}
	if m.target != (service.Target{}) {
		all[labelLink] = string(m.target.Project) + "." + string(m.target.Service)
	}
	return all
}

// readMark is the other way. A rollout that is no number is 0, which is no
// rollout's number.
func readMark(labels map[string]string) mark {
	rollout, _ := strconv.Atoi(labels[labelRollout])
	project, svc, _ := strings.Cut(labels[labelLink], ".")
	return mark{
		kind:        labels[labelKind],
		environment: labels[labelEnvironment],
		project:     spec.ProjectID(labels[labelProject]),
		service:     spec.ServiceID(labels[labelService]),
		rollout:     rollout,
		target:      service.Target{Project: spec.ProjectID(project), Service: spec.ServiceID(svc)},
	}
}

// ours filters for things with the given labels; each is name=value.
func ours(labels ...string) client.Filters {
	return client.Filters{}.Add("label", labels...)
}
