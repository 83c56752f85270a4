package reconciletest

import (
	"fmt"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// swarmService is a swarm service and its containers.
type swarmService struct {
	id       string
	d        service.Desired
	network  string
	replicas int
	boxes    []*box // oldest first
	gone     bool   // removed; its containers still stop
}

// box is a container.
type box struct {
	id      string
	slot    int
	address int
	state   service.State
	since   time.Time
	created time.Time
	stop    time.Time // when it will have stopped; zero while nobody asked it to
	exit    int
	oom     bool
	err     string
	health  string
	log     string
}

func (b *box) end(state service.State, at time.Time, exit int) {
	b.state, b.since, b.exit = state, at, exit
}

// tick is the length of a step of the simulation.
const tick = 100 * time.Millisecond

// remembered is how many ended containers of a slot the engine keeps.
const remembered = 5

// advance brings the simulation up to now.
func (c *Cluster) advance() {
	for now := time.Now(); c.at.Add(tick).Before(now) || c.at.Add(tick).Equal(now); {
		c.at = c.at.Add(tick)
		for _, s := range c.services {
			c.run(s)
		}
		for i := 0; i < len(c.forgotten); i++ {
			if c.run(c.forgotten[i]); c.forgotten[i].live() == 0 {
				c.forgotten = append(c.forgotten[:i], c.forgotten[i+1:]...)
				i--
			}
		}
		c.writers()
		c.alone()
		c.drains()
	}
}

// run lets one step pass for a service.
func (c *Cluster) run(s *swarmService) {
	app := c.apps[s.d.Image]
	wanted := 0
	for _, b := range s.boxes {
		if b.state.Ended() {
			continue
		}
		if wanted++; wanted > s.replicas && b.stop.IsZero() {
			b.stop = c.at.Add(or(app.Stops, 400*time.Millisecond))
		}
		c.live(b, app)
	}
	for slot := 1; slot <= s.replicas && !s.gone; slot++ {
		if s.wants(slot) {
			s.boxes = append(s.boxes, &box{id: c.box(), slot: slot, address: c.serial, state: service.Waiting, since: c.at, created: c.at})
		}
	}
	s.forget()
}

// live lets one step pass for a container.
func (c *Cluster) live(b *box, app App) {
	age := c.at.Sub(b.since)
	ends := app.Lives > 0 && age >= app.Lives && (app.Slot == 0 || app.Slot == b.slot)
	switch {
	case !b.stop.IsZero():
		if !c.at.Before(b.stop) {
			b.end(service.Stopped, c.at, 0)
		}
	case b.state == service.Waiting:
		b.state, b.since = service.Starting, c.at
	case b.state == service.Starting && age >= or(app.Boot, 300*time.Millisecond) && app.Refused != "":
		b.err, b.id = app.Refused, ""
		b.end(service.Failed, c.at, 0)
	case b.state == service.Starting && app.Check != "" && app.Check != "pass":
		b.health, b.log = "starting", app.Check
		if age > 20*time.Second { // its check failed too often
			b.health = "unhealthy"
			b.end(service.Failed, c.at, 137)
		}
	case b.state == service.Starting && age >= or(app.Boot, 300*time.Millisecond):
		b.state, b.since = service.Running, c.at
		if app.Check == "pass" {
			b.health = "healthy"
		}
	case b.state == service.Running && ends && app.Exit == 0 && !app.OOM:
		b.end(service.Complete, c.at, 0)
	case b.state == service.Running && ends:
		b.oom = app.OOM
		b.end(service.Failed, c.at, app.Exit)
	}
}

func or(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return a
}

// wants tells whether a slot is to be given a container.
func (s *swarmService) wants(slot int) bool {
	failed := 0
	var last *box
	for _, b := range s.boxes {
		if b.slot != slot {
			continue
		}
		if last = b; b.state == service.Failed {
			failed++
		}
	}
	policy := s.d.Spec.Restart
	switch {
	case last == nil, last.state == service.Stopped:
		return true
	case !last.state.Ended():
		return false
	case policy.Policy == spec.Never:
		return false
	case policy.Policy == spec.OnFailure:
		return last.state == service.Failed && (policy.Attempts == 0 || failed <= policy.Attempts)
	}
	return true
}

// forget drops the oldest ended containers of each slot.
func (s *swarmService) forget() {
	count := map[int]int{}
	for i := len(s.boxes) - 1; i >= 0; i-- {
		b := s.boxes[i]
		if count[b.slot]++; b.state.Ended() && count[b.slot] > remembered {
			s.boxes = append(s.boxes[:i], s.boxes[i+1:]...)
		}
	}
}

func (s *swarmService) live() int {
	n := 0
	for _, b := range s.boxes {
		if !b.state.Ended() {
			n++
		}
	}
	return n
}

func (s *swarmService) running() int {
	n := 0
	for _, b := range s.boxes {
		if b.state == service.Running && b.stop.IsZero() {
			n++
		}
	}
	return n
}

// drop removes a swarm service; its containers stop afterwards.
func (c *Cluster) drop(id string) {
	s := c.services[id]
	delete(c.services, id)
	s.gone, s.replicas = true, 0
	c.forgotten = append(c.forgotten, s)
}

// writers notes swarm services of one service that write to one volume at once:
// those of two rollouts, or of one that was lost and of the one in its place.
func (c *Cluster) writers() {
	who := map[string]*swarmService{}
	for _, s := range c.everything() {
		if s.live() == 0 {
			continue
		}
		for _, b := range s.d.Binds {
			key := b.Source + " " + string(s.d.ID)
			if b.ReadOnly {
				continue
			}
			if other := who[key]; other != nil && other != s {
				c.broken = append(c.broken, fmt.Sprintf("r%d and r%d both write to %s", other.d.Rollout, s.d.Rollout, b.Source))
			}
			who[key] = s
		}
	}
}

// alone notes swarm services of one service that run at once although one of
// them is to be alone.
func (c *Cluster) alone() {
	all := c.everything()
	for i, a := range all {
		for _, b := range all[:i] {
			if a.d.ID == b.d.ID && a.live() > 0 && b.live() > 0 && (a.d.Spec.Order == spec.StopFirst || b.d.Spec.Order == spec.StopFirst) {
				c.broken = append(c.broken, fmt.Sprintf("r%d and r%d run at once", a.d.Rollout, b.d.Rollout))
			}
		}
	}
}

// everything is all swarm services, those that are going, too.
func (c *Cluster) everything() []*swarmService {
	all := append([]*swarmService(nil), c.forgotten...)
	for _, s := range c.services {
		all = append(all, s)
	}
	return all
}
