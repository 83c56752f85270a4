package api

import "time"

// Event is something that happened. Numbers only grow and are never given
// twice, so who knows the last one can ask for what came after it.
type Event struct {
	ID          int64     `json:"id"`
	Time        time.Time `json:"time"`
	Kind        string    `json:"kind" enum:"deploy-begun,deploy-done,deploy-failed,health,restart,oom,crash-loop,certificate,refused,listener,node,alert,lost" doc:"lost: what came before this one is no longer kept"`
	Environment string    `json:"environment,omitempty"`
	Project     string    `json:"project,omitempty"`
	Service     string    `json:"service,omitempty" doc:"without its project's name"`
	Rollout     int       `json:"rollout,omitempty"`
	State       string    `json:"state,omitempty" doc:"what it came to: of a service healthy, failing, stopped, idle, completed or removed; of what can be lost and had again, well or unwell"`
	Says        string    `json:"says,omitempty"`
}

// The kinds of events.
const (
	DeployBegun  = "deploy-begun"
	DeployDone   = "deploy-done"
	DeployFailed = "deploy-failed"
	HealthEvent  = "health"
	RestartEvent = "restart"
	OOMEvent     = "oom"
	CrashLoop    = "crash-loop"
	CertEvent    = "certificate"
	RefusedEvent = "refused"
	PortEvent    = "listener"
	NodeEvent    = "node"
	AlertEvent   = "alert"
	LostEvent    = "lost"
)

// EventKinds is all of them.
func EventKinds() []string {
	return []string{DeployBegun, DeployDone, DeployFailed, HealthEvent, RestartEvent, OOMEvent, CrashLoop, CertEvent, RefusedEvent, PortEvent, NodeEvent, AlertEvent, LostEvent}
}

// EventQuery says which events are wanted. An empty field does not narrow.
type EventQuery struct {
	Environment string
	Project     string
	Service     string
	Kinds       []string
	After       int64     // only those with a higher number
	Since       time.Time // nothing older
	Follow      bool      // go on with what happens from now on
}

// Takes tells whether e is wanted by what it is about; After and Since are
// not looked at.
func (q EventQuery) Takes(e Event) bool {
	if e.Kind == LostEvent {
		return true
	}
	return (q.Environment == "" || q.Environment == e.Environment) &&
		(q.Project == "" || q.Project == e.Project) &&
		(q.Service == "" || q.Service == e.Service) &&
		(len(q.Kinds) == 0 || has(q.Kinds, e.Kind)) && !e.Time.Before(q.Since)
}

func has(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}
