package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"havre/internal/dockercall"
	"havre/internal/policy"
)

func TestServiceStaysWithinItsBounds(t *testing.T) {
	limits := func(l dockercall.Limits) func(*dockercall.ServiceSpec) {
		return func(s *dockercall.ServiceSpec) { s.TaskTemplate.Resources = &dockercall.Resources{Limits: &l} }
	}
	replicas := func(n uint64) func(*dockercall.ServiceSpec) {
		return func(s *dockercall.ServiceSpec) { s.Mode.Replicated.Replicas = &n }
	}
	grace := func(d time.Duration) func(*dockercall.ServiceSpec) {
		return func(s *dockercall.ServiceSpec) { s.TaskTemplate.ContainerSpec.StopGracePeriod = &d }
	}
	for name, c := range map[string]struct {
		change func(*dockercall.ServiceSpec)
		rule   dockercall.Rule
	}{
		"as many replicas as there may be":  {replicas(3), ""},
		"one more":                          {replicas(4), policy.Amount},
		"no number of replicas":             {func(s *dockercall.ServiceSpec) { s.Mode.Replicated.Replicas = nil }, policy.Amount},
		"as many processes as there may be": {limits(dockercall.Limits{Pids: 100}), ""},
		"one process more":                  {limits(dockercall.Limits{Pids: 101}), policy.Amount},
		"processes without a limit":         {limits(dockercall.Limits{Pids: -1}), policy.Amount},
		"as much memory as there may be":    {limits(dockercall.Limits{MemoryBytes: 1 << 30}), ""},
		"a byte more":                       {limits(dockercall.Limits{MemoryBytes: 1<<30 + 1}), policy.Amount},
		"memory below nothing":              {limits(dockercall.Limits{MemoryBytes: -1}), policy.Amount},
		"cores below nothing":               {limits(dockercall.Limits{NanoCPUs: -1}), policy.Amount},
		"a reservation below nothing": {func(s *dockercall.ServiceSpec) {
			s.TaskTemplate.Resources = &dockercall.Resources{Reservations: &dockercall.Reservations{MemoryBytes: -1}}
		}, policy.Amount},
		"an hour to stop":                  {grace(time.Hour), ""},
		"more than an hour":                {grace(time.Hour + 1), policy.Amount},
		"time to stop below nothing":       {grace(-1), policy.Amount},
		"as many networks as there may be": {linked(31), ""},
		"one network more":                 {linked(32), policy.Amount},
	} {
		call := service("")
		c.change(&call.Spec)
		f := facts(ours)
		f.Image = policy.Image{Exists: true, ID: image, Refs: []dockercall.Ref{"havre.invalid/prod/a:1"}}
		f.Networks = map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}}
		for n := range 32 {
			labels := of("prod", "aaaaaaa2", "link")
			labels["havre.link"] = "ccccccc2.ddddddd2"
			f.Networks[link(n)] = policy.Object{Exists: true, Labels: labels}
		}
		if _, err := policy.Judge(server, bounds, f, call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}

// link is the id of a link network.
func link(n int) dockercall.SwarmID {
	return dockercall.SwarmID(strings.Repeat("l", 23) + fmt.Sprintf("%02d", n))
}

// linked puts a service on so many networks besides its project's.
func linked(more int) func(*dockercall.ServiceSpec) {
	return func(s *dockercall.ServiceSpec) {
		for n := range more {
			s.TaskTemplate.Networks = append(s.TaskTemplate.Networks, dockercall.Attachment{Target: link(n)})
		}
	}
}

// A portal that had a name on a project's network could be taken for a service.
func TestPortalHasNoNameAndNoOtherNetwork(t *testing.T) {
	const other = "ooooooooooooooooooooooooo"
	for name, c := range map[string]struct {
		ends map[dockercall.SwarmID]*dockercall.Endpoint
		rule dockercall.Rule
	}{
		"says nothing":      {nil, ""},
		"its network":       {map[dockercall.SwarmID]*dockercall.Endpoint{net: nil}, ""},
		"its empty end":     {map[dockercall.SwarmID]*dockercall.Endpoint{net: {}}, ""},
		"a name":            {map[dockercall.SwarmID]*dockercall.Endpoint{net: {Aliases: []dockercall.Alias{"db"}}}, policy.PortalShape},
		"a network besides": {map[dockercall.SwarmID]*dockercall.Endpoint{other: nil}, policy.PortalShape},
	} {
		call := portalOf("prod")
		call.Spec.NetworkingConfig = &dockercall.Networking{EndpointsConfig: c.ends}
		f := policy.Facts{Instance: "me", Portal: portalImage, Networks: map[dockercall.SwarmID]policy.Object{net: {Exists: true, Labels: of("prod", "aaaaaaa2", "network")}}}
		if _, err := policy.Judge(server, bounds, f, call); ruleOf(err) != string(c.rule) {
			t.Errorf("%s: %v, want %q", name, err, c.rule)
		}
	}
}
