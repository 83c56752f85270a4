package project_test

import (
	"net/netip"
	"strings"
	"testing"

	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/service"
	"havre/internal/spec"
)

func TestTableLeadsToWhatServes(t *testing.T) {
	r := shop(projecttest.Service("web", projecttest.Port(80, 8080), projecttest.Domain("a.example", 80)))
	r = updating(r, projecttest.Service("web", projecttest.Port(80, 8080), projecttest.Domain("a.example", 80)))
	id := r.Service("web").ID
	at := func(n int, last byte, state service.State) service.Observed {
		container := strings.Repeat("0", 63) + string('0'+rune(last))
		return service.Observed{Project: r.ID, ID: id, Rollout: n, SwarmID: "s", Tasks: []service.Task{{Container: container, Address: netip.AddrFrom4([4]byte{10, 87, 0, last}), State: state}}}
	}
	snap := service.Snapshot{Services: []service.Observed{at(1, 1, service.Running), at(2, 2, service.Running)}}
	table := project.Table([]project.Record{r}, snap, "")
	if len(table.TCP) != 1 || len(table.TCP[0].Targets) != 1 || table.TCP[0].Targets[0].Address.As4()[3] != 1 || table.HTTP[0].Targets[0].Port != 80 || table.HTTP[0].Access != "public" {
		t.Errorf("got %+v", table)
	}
	if err := table.Validate(); err != nil {
		t.Error(err)
	}
	snap.Services[0] = at(1, 1, service.Starting)
	if table = project.Table([]project.Record{r}, snap, ""); len(table.TCP[0].Targets) != 0 {
		t.Errorf("it leads to one that does not run: %+v", table)
	}
}

// Else another service, or nobody, would answer at its names.
func TestServiceThatIsNotToRunKeepsItsNames(t *testing.T) {
	for what, stop := range map[string]func(*project.Service){
		"stopped":   func(s *project.Service) { s.Stopped = true },
		"scaled":    func(s *project.Service) { s.Current().Spec.Replicas = 0 },
		"both":      func(s *project.Service) { s.Stopped, s.Current().Spec.Replicas = true, 0 },
		"never ran": func(s *project.Service) { s.Stopped, s.Target, s.Active = true, s.Active, 0 },
	} {
		web := projecttest.Service("web", projecttest.Port(80, 8080), projecttest.Domain("a.example", 80), projecttest.Domain("own.example", 443))
		web.Domains[1].TLS = spec.Passthrough
		r := shop(web)
		id := r.Service("web").ID
		tasks := []service.Task{{Container: strings.Repeat("0", 64), Address: netip.AddrFrom4([4]byte{10, 87, 0, 1}), State: service.Running}}
		snap := service.Snapshot{Services: []service.Observed{{Project: r.ID, ID: id, Rollout: 1, SwarmID: "s", Tasks: tasks}}}
		stop(&r.Services[0])
		table := project.Table([]project.Record{r}, snap, "havre.example")
		if err := table.Validate(); err != nil {
			t.Error(what, err)
		}
		if len(table.TCP) != 0 || len(table.HTTP) != 2 || len(table.Pass) != 1 {
			t.Fatalf("%s: %+v", what, table)
		}
		for _, h := range table.HTTP {
			if !h.Stopped || len(h.Targets) > 0 {
				t.Errorf("%s: %+v", what, h)
			}
		}
		if h := table.Pass[0]; !h.Stopped || len(h.Targets) > 0 {
			t.Errorf("%s: %+v", what, h)
		}
	}
}

// A name that a stopped service left its old rollout with is the other's.
func TestWhoRunsHasANameBeforeWhoIsStopped(t *testing.T) {
	old, other := projecttest.Service("old", projecttest.Domain("a.example", 80)), projecttest.Service("other", projecttest.Domain("a.example", 80))
	r := shop(old, other)
	r.Services[0].Stopped = true
	table := project.Table([]project.Record{r}, service.Snapshot{}, "")
	if len(table.HTTP) != 1 || table.HTTP[0].Service != "prod.shop.other" || table.HTTP[0].Stopped {
		t.Errorf("%+v", table.HTTP)
	}
}

func TestPortsOfBothRolloutsAreTaken(t *testing.T) {
	r := shop(projecttest.Service("web", projecttest.Port(80, 8080), projecttest.Domain("a.example", 80)))
	r = updating(r, projecttest.Service("web", projecttest.Port(80, 8081), projecttest.Domain("b.example", 80)))
	ports, hosts := project.Ports([]project.Record{r}, ""), project.Hosts([]project.Record{r}, "", "")
	if len(ports) != 2 || len(hosts) != 2 || hosts["a.example"] != "prod.shop.web" {
		t.Errorf("%v, %v", ports, hosts)
	}
	if len(project.Ports([]project.Record{r}, r.ID)) != 0 {
		t.Error("its own are no obstacle")
	}
}
