package event

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
)

// Sight is all that events tell the changes of, as it was at one moment. It is
// kept together with the events, so that a server that was killed goes on
// telling where it left off.
type Sight struct {
	Services     map[string]Service   `json:"services"`               // by environment.project.service
	Ports        map[string]string    `json:"ports,omitempty"`        // what cannot be listened on, and why
	Certificates map[string]time.Time `json:"certificates,omitempty"` // by host: when it ends
	Node         string               `json:"node,omitempty"`         // why the engine could not be looked at
}

// Service is what is seen of a service.
type Service struct {
	State    string         `json:"state"` // the last one that is told; never starting
	Says     string         `json:"-"`
	Last     int            `json:"last"`               // the highest rollout
	Open     map[int]string `json:"open"`               // rollouts, by number: their state
	Reasons  map[int]string `json:"-"`                  // why those failed that did
	Endings  []Ending       `json:"endings,omitempty"`  // bad ones that the engine remembers
	Looping  string         `json:"looping,omitempty"`  // how its crash loop ended last; "" is none
	Restarts int            `json:"restarts,omitempty"` // bad endings that were ever told
}

// Ending is a container that ended though it should run.
type Ending struct {
	Task    string `json:"task"`
	Rollout int    `json:"rollout,omitempty"`
	OOM     bool   `json:"oom,omitempty"`
	Says    string `json:"-"`
}

// Compare tells what happened between two sights, in an order in which a
// person would tell it. It completes now with what only before knows.
func Compare(before Sight, now *Sight) []api.Event {
	var all []api.Event
	if now.Node != before.Node {
		e := api.Event{Kind: api.NodeEvent, State: "well", Says: "the engine answers again"}
		if now.Node != "" {
			e.State, e.Says = "unwell", now.Node
		}
		if now.Node == "" || before.Node == "" {
			all = append(all, e) // that it fails otherwise than before is no news
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Services)) {
		s := now.Services[name]
		all = append(all, named(name, changes(before.Services[name], &s))...)
		now.Services[name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(before.Services)) {
		if _, there := now.Services[name]; !there {
			all = append(all, named(name, []api.Event{{Kind: api.HealthEvent, State: "removed"}})...)
		}
	}
	all = append(all, ports(before.Ports, now.Ports)...)
	return append(all, certificates(before.Certificates, now.Certificates)...)
}

func named(full string, events []api.Event) []api.Event {
	parts := strings.SplitN(full, ".", 3)
	for i := range events {
		events[i].Environment, events[i].Project, events[i].Service = parts[0], parts[1], parts[2]
	}
	return events
}

// changes tells what happened to one service; the zero before is one that was
// not there.
func changes(before Service, now *Service) []api.Event {
	deaths := endings(before, now)
	var all []api.Event
	for _, n := range slices.Sorted(maps.Keys(deaths)) {
		if _, told := now.Open[n]; !told {
			all = append(all, deaths[n]...)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(now.Open)) {
		begun, over := rollout(n, before, now)
		all = append(append(append(all, begun...), deaths[n]...), over...)
	}
	if now.Looping != "" && before.Looping == "" {
		all = append(all, api.Event{Kind: api.CrashLoop, State: "unwell", Says: now.Looping})
	}
	if now.Looping == "" && before.Looping != "" {
		all = append(all, api.Event{Kind: api.CrashLoop, State: "well", Says: "it runs on"})
	}
	// On the way between two states is no state to tell.
	if now.State == "starting" {
		now.State, now.Says = before.State, before.Says
	}
	if now.State != before.State && now.State != "" {
		all = append(all, api.Event{Kind: api.HealthEvent, State: now.State, Says: now.Says})
	}
	return all
}

// endings tells, by rollout, which containers ended since, the oldest first.
func endings(before Service, now *Service) map[int][]api.Event {
	known := map[string]bool{}
	for _, e := range before.Endings {
		known[e.Task] = true
	}
	all := map[int][]api.Event{}
	now.Restarts = before.Restarts
	for _, e := range slices.Backward(now.Endings) { // the newest stands first
		if known[e.Task] {
			continue
		}
		kind := api.RestartEvent
		if e.OOM {
			kind = api.OOMEvent
		}
		now.Restarts++
		all[e.Rollout] = append(all[e.Rollout], api.Event{Kind: kind, Rollout: e.Rollout, Says: e.Says})
	}
	return all
}

// rollout tells whether a deploy began, and how it ended. One that came and
// went between two sights is told whole.
func rollout(n int, before Service, now *Service) (begun, over []api.Event) {
	state, was := now.Open[n], before.Open[n]
	if n <= before.Last && was == "" || state == was {
		return nil, nil
	}
	if n > before.Last {
		begun = []api.Event{{Kind: api.DeployBegun, Rollout: n}}
		was = "pending"
	}
	switch {
	case state == "active":
		over = []api.Event{{Kind: api.DeployDone, Rollout: n}}
	case state == "failed" || state == "retired" && was == "pending" && now.Reasons[n] != "":
		over = []api.Event{{Kind: api.DeployFailed, Rollout: n, Says: now.Reasons[n]}}
	case state == "retired" && was == "pending":
		over = []api.Event{{Kind: api.DeployDone, Rollout: n, Says: "another one has taken its place since"}}
	}
	return begun, over
}

func ports(before, now map[string]string) []api.Event {
	var all []api.Event
	for _, p := range slices.Sorted(maps.Keys(now)) {
		if before[p] != now[p] {
			all = append(all, api.Event{Kind: api.PortEvent, State: "unwell", Says: now[p]})
		}
	}
	for _, p := range slices.Sorted(maps.Keys(before)) {
		if _, still := now[p]; !still {
			all = append(all, api.Event{Kind: api.PortEvent, State: "well", Says: fmt.Sprintf("port %s is served", p)})
		}
	}
	return all
}

func certificates(before, now map[string]time.Time) []api.Event {
	var all []api.Event
	for _, host := range slices.Sorted(maps.Keys(now)) {
		if was, there := before[host]; !there || !was.Equal(now[host]) {
			all = append(all, api.Event{Kind: api.CertEvent, State: "well", Says: fmt.Sprintf("%s has a certificate until %s", host, now[host].UTC().Format(time.DateOnly))})
		}
	}
	return all
}
