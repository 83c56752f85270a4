package swarm

import (
	"maps"
	"strconv"

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
)

// The kinds of things.
const (
	kindService = "service"
	kindPortal  = "portal"
	kindNetwork = "network"
	kindConfig  = "config"
	kindHook    = "hook"
)

// mark is what the labels say.
type mark struct {
	kind        string
	environment string
	project     spec.ProjectID
	service     spec.ServiceID
	rollout     int
}

// markOf is the mark of everything that belongs to a rollout.
func markOf(d service.Desired) mark {
	return mark{kindService, d.Environment, d.Project, d.ID, d.Rollout}
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
	return all
}

// readMark is the other way. A rollout that is no number is 0, which is no
// rollout's number.
func readMark(labels map[string]string) mark {
	rollout, _ := strconv.Atoi(labels[labelRollout])
	return mark{
		kind:        labels[labelKind],
		environment: labels[labelEnvironment],
		project:     spec.ProjectID(labels[labelProject]),
		service:     spec.ServiceID(labels[labelService]),
		rollout:     rollout,
	}
}

// ours filters for things with the given labels; each is name=value.
func ours(labels ...string) client.Filters {
	return client.Filters{}.Add("label", labels...)
}
