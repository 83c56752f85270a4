package compose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"havre/internal/spec"
)

// updateFields say how an update goes. Docker Compose without a swarm looks at
// none of them: it stops a container, and starts the next.
var updateFields = []Field{
	{Path: "services.*.deploy.update_config", Verdict: Honoured, Says: "see below"},
	{Path: "services.*.deploy.update_config.order", Verdict: Honoured, Says: "stop-first: all old containers have ended before a new one starts, and connections are held meanwhile, at most 30 s; start-first: the old ones serve until the new ones are healthy. Absent: start-first, on purpose other than Compose's own default, as nobody waits then. What writes to volumes is stopped first in any case; a warning where start-first is asked for"},
	{Path: "services.*.deploy.update_config.parallelism", Verdict: Warned, Says: oneSwitch, Remedy: "take it out; without order: stop-first all the old ones serve until the new ones are healthy", Fine: []string{"0"}},
	{Path: "services.*.deploy.update_config.delay", Verdict: Warned, Says: oneSwitch, Remedy: leaveOut, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.update_config.failure_action", Verdict: Warned, Says: "an update that fails is given up as a whole: the old containers serve on, or come back", Remedy: "take it out; where the new ones should serve all the same, ask less of their healthcheck", Fine: []string{"rollback"}},
	{Path: "services.*.deploy.update_config.monitor", Verdict: Warned, Says: watched, Remedy: healthTells, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.update_config.max_failure_ratio", Verdict: Warned, Says: "one new container that does not get healthy fails the update", Remedy: leaveOut, Fine: []string{"0"}},
	{Path: "services.*.deploy.rollback_config", Verdict: Honoured, Says: "see below"},
	{Path: "services.*.deploy.rollback_config.order", Verdict: Refused, Says: "a rollback is an update, and goes in the order of those; the same order here is fine", Remedy: orderOnce, own: true},
	{Path: "services.*.deploy.rollback_config.parallelism", Verdict: Warned, Says: oneSwitch, Remedy: leaveOut, Fine: []string{"0"}},
	{Path: "services.*.deploy.rollback_config.delay", Verdict: Warned, Says: oneSwitch, Remedy: leaveOut, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.rollback_config.failure_action", Verdict: Warned, Says: "a rollback that fails is given up as any update: what served before it serves on, or comes back", Remedy: "take it out; havre why says what was wrong"},
	{Path: "services.*.deploy.rollback_config.monitor", Verdict: Warned, Says: watched, Remedy: healthTells, Fine: []string{"0", "0s"}},
	{Path: "services.*.deploy.rollback_config.max_failure_ratio", Verdict: Warned, Says: "one container that does not get healthy fails the rollback", Remedy: leaveOut, Fine: []string{"0"}},
}

const (
	oneSwitch   = "all containers change in one switch, not one after the other"
	watched     = "a new container is watched until it is healthy, and without a healthcheck for 5 s; one that crashes later does not bring the old one back"
	healthTells = "give it a healthcheck that only passes when all is well; havre rollback brings the old one back"
	orderOnce   = "write it below update_config, or take it out"
)

// order reads what updates and rollbacks stop or start first. It comes after
// the mounts: of what writes there is no choice.
func (r *reader) order(to *spec.Service, s types.ServiceConfig) {
	if s.Deploy != nil && s.Deploy.UpdateConfig != nil {
		to.Order = spec.Order(s.Deploy.UpdateConfig.Order)
	}
	at := r.at(to.Name, "deploy", "update_config", "order")
	r.Origins["services."+to.Name+".order"] = at
	done := cmp.Or(to.Order, spec.StartFirst)
	if to.WritesData() {
		done = spec.StopFirst
	}
	r.back(to.Name, done)
	if to.Order == spec.StartFirst && done == spec.StopFirst {
		r.Warn(at, fmt.Sprintf("deploy.update_config.order: start-first has no effect: %s writes to volume %s, so the old one stops before the new one starts; connections are held meanwhile", to.Name, written(to)),
			"mount the volume read-only where the service only reads, or take the order out")
		to.Order = ""
	}
}

// back compares the order of rollbacks with that of updates, which they go in.
func (r *reader) back(name string, done spec.Order) {
	for _, service := range r.chain(name) {
		asked, there := r.gone["services."+service+".deploy.rollback_config.order"]
		said := "deploy.rollback_config.order: " + asked.value
		switch {
		case !there:
			continue
		case asked.value == "" || spec.Order(asked.value) == done:
		case asked.value == string(spec.StartFirst): // it is gentler than what is done, and no more
			r.Warn(asked.at, said+" has no effect: a rollback is an update, and updates of "+name+" stop the old one first", orderOnce)
		case asked.value == string(spec.StopFirst):
			r.Refuse(asked.at, said+" is refused: a rollback is an update, and updates of "+name+" start the new one first", orderOnce)
		default:
			r.Refuse(asked.at, fmt.Sprintf("deploy.rollback_config.order: %q is unknown", shorten(asked.value)), "use stop-first or start-first, or take it out")
		}
		return
	}
}

// written is the first volume that a service writes to.
func written(s *spec.Service) string {
	i := slices.IndexFunc(s.Mounts, func(m spec.Mount) bool { return m.Kind == spec.Volume && !m.ReadOnly })
	return s.Mounts[i].Source
}
