// Package reconciletest is an engine, an ingress and a disk for tests of the
// loop: small, slow as real ones are, and honest about what a real one refuses.
// Its time is time.Now, so that tests run it under testing/synctest.
package reconciletest

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"havre/internal/project"
	"havre/internal/reconcile"
	"havre/internal/route"
	"havre/internal/service"
	"havre/internal/spec"
)

// App says how the containers of an image behave. The zero App runs for ever
// and accepts on all ports.
type App struct {
	Image   service.Image
	Boot    time.Duration // until it runs; 0 is 300 ms
	Lives   time.Duration // until it ends by itself; 0 is for ever
	Slot    int           // the only one of its containers that ends so; 0: all do
	Exit    int           // its exit code then
	OOM     bool          // it is killed then
	Refused string        // the engine cannot start it and says this
	Stops   time.Duration // how long it takes to stop; 0 is 400 ms
	Deaf    bool          // its ports do not accept
	Check   string        // "" no health check; "pass"; else what the failing check prints
	Says    []string      // its log

	Init     time.Duration // how long its init takes; it has one when its Image says so
	InitSlow time.Duration // how long the engine takes to start it
	InitExit int           // the init's exit code
	InitLost int           // how often the swarm cannot start it
	InitCut  bool          // the swarm ends it, and it takes that politely

	Upgrade     time.Duration // how long its upgrade takes
	UpgradeExit int
}

// Cluster is the fake. Fill in the exported fields before it is used.
type Cluster struct {
	Held   map[uint16]string // ports of the machine that other programs have, and who
	Refuse func(call string) error
	Taken  []string // subnets that networks of others have

	mu        sync.Mutex     // guards what follows
	apps      map[string]App // by image id
	at        time.Time      // how far the simulation is
	serial    int
	services  map[string]*swarmService // by swarm id
	networks  []service.Network
	portals   []service.Portal
	portal    string                    // the image of new portals
	through   map[string]bool           // portals through which a connection leads, by container
	configs   map[string]spec.ProjectID // by id
	secrets   map[string]bool           // by id
	volumes   map[string]bool           // by source
	fresh     map[string]bool           // those that are new, by source
	fills     map[string]int            // how often an init filled one, by source
	upgrades  []string                  // rollouts whose upgrade has done its work
	hooks     []*hook
	lost      map[spec.ServiceID]int  // inits that could not be started
	images    map[string]bool         // kept ones, by id
	pages     map[string]project.Page // of the logbook, by container
	table     route.Table
	open      map[string]int // connections, by container
	ails      string         // what the ingress's checks find
	ailing    int            // of so many containers
	crash     Crash
	calls     []string
	dead      bool
	broken    []string // promises that did not hold
	forgotten []*swarmService
}

// New makes an empty cluster of these apps.
func New(apps map[string]App) *Cluster {
	return &Cluster{
		apps: apps, Held: map[uint16]string{}, at: time.Now(),
		services: map[string]*swarmService{}, through: map[string]bool{}, configs: map[string]spec.ProjectID{}, secrets: map[string]bool{}, volumes: map[string]bool{}, fresh: map[string]bool{}, lost: map[spec.ServiceID]int{}, fills: map[string]int{}, images: map[string]bool{}, pages: map[string]project.Page{}, open: map[string]int{},
	}
}

// Hands are the loop's hands on the cluster and on what is remembered.
func (c *Cluster) Hands(r reconcile.Records) reconcile.Hands {
	return reconcile.Hands{
		Observer: c, Services: c, Fences: c, Portals: c, Storage: c, Hooks: c, Secrets: c, Shelf: c, Litter: c, Logs: c, Logbook: c,
		Records: remembering{r, c}, Ingress: c, Holders: c, Certificates: c,
	}
}

// State is what stands in the cluster, without what differs from run to run.
type State struct {
	Services []string // name, replicas and healthy containers
	Networks []string // environment and project
	Portals  []string // environment, how many networks, and the image if it was changed
	Configs  int
	Secrets  []string // project and version
	Volumes  []string
	Inits    int
	Routes   []string // port and the number of targets
}

// State describes the cluster as it is now.
func (c *Cluster) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	s := State{Configs: len(c.configs), Inits: len(c.hooks)}
	for _, x := range c.services {
		s.Services = append(s.Services, fmt.Sprintf("%s/%s r%d x%d: %d run", x.d.Project, x.d.ID, x.d.Rollout, x.replicas, x.running()))
	}
	for _, n := range c.networks {
		name := n.Environment + "/" + string(n.Project)
		if n.Target != (service.Target{}) {
			name += " to " + string(n.Target.Project) + "/" + string(n.Target.Service)
		}
		s.Networks = append(s.Networks, name)
	}
	for _, p := range c.portals {
		s.Portals = append(s.Portals, fmt.Sprintf("%s on %d%s", p.Environment, len(p.Networks), p.Image))
	}
	for v := range c.volumes {
		s.Volumes = append(s.Volumes, v)
	}
	for _, r := range c.table.TCP {
		s.Routes = append(s.Routes, fmt.Sprintf("%d to %d of %s", r.Listen, len(r.Targets), r.Service))
	}
	for _, r := range c.table.HTTP {
		s.Routes = append(s.Routes, fmt.Sprintf("%s to %d of %s", r.Host, len(r.Targets), r.Service))
	}
	for id := range c.secrets {
		s.Secrets = append(s.Secrets, id)
	}
	for _, list := range [][]string{s.Secrets, s.Services, s.Networks, s.Portals, s.Volumes, s.Routes} {
		slices.Sort(list)
	}
	return s
}

// Broken are the promises that did not hold so far: two swarm services that wrote to
// one volume at once, a portal without any network.
func (c *Cluster) Broken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.broken)
}

// Table is what the ingress follows.
func (c *Cluster) Table() route.Table {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.table
}

// Kill ends all containers of a service at once, as a crash does.
func (c *Cluster) Kill(id spec.ServiceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	for _, s := range c.services {
		for _, b := range s.boxes {
			if s.d.ID == id && !b.state.Ended() {
				b.end(service.Failed, c.at, 137)
			}
		}
	}
}

// Lose removes something behind the loop's back: "portals", "services",
// "networks" or "volumes".
func (c *Cluster) Lose(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
	switch what {
	case "portals":
		c.portals = nil
	case "services":
		for id := range c.services {
			c.drop(id)
		}
	case "networks":
		c.networks = nil
	case "volumes":
		clear(c.volumes)
	}
}

// Stray adds a swarm service, a network and a portal that no record knows.
func (c *Cluster) Stray(environment string, p spec.ProjectID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next("net")
	c.networks = append(c.networks, service.Network{ID: id, Name: id, Environment: environment, Project: p, Subnet: "10.99.0.0/24"})
	c.configs[c.next("config")] = p
	swarm := c.next("swarm")
	c.services[swarm] = &swarmService{id: swarm, d: service.Desired{Environment: environment, Project: p, ID: "stray", Rollout: 1, Network: id, Spec: spec.Service{Replicas: 1}}, replicas: 1, network: id}
	c.portals = append(c.portals, service.Portal{Container: c.box(), Environment: environment, Generation: 1, Running: true, Created: c.at, Networks: []string{id}})
}

// Unaddressed adds a network to which the swarm gives no addresses.
func (c *Cluster) Unaddressed(environment string, p spec.ProjectID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next("net")
	c.networks = append(c.networks, service.Network{ID: id, Name: id, Environment: environment, Project: p})
}

// Machine is the machine as the deployer sees it.
func (c *Cluster) Machine() Machine { return Machine{c} }

func (c *Cluster) next(kind string) string {
	c.serial++
	return fmt.Sprintf("%s-%d", kind, c.serial)
}

// box is a container's id.
func (c *Cluster) box() string {
	c.serial++
	return fmt.Sprintf("%064x", c.serial)
}

func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 87, byte(n >> 8), byte(n)})
}
