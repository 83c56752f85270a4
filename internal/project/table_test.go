package project_test

import (
	"net/netip"
	"strings"
	"testing"

	"havre/internal/project"
	"havre/internal/project/projecttest"
	"havre/internal/service"
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
	r.Services[0].Stopped = true
	if table = project.Table([]project.Record{r}, snap, ""); len(table.TCP)+len(table.HTTP) != 0 {
		t.Errorf("it leads to a stopped one: %+v", table)
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
