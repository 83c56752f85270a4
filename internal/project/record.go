// Package project is what is remembered of projects, and what follows from it:
// what has to be done next so that what was asked for is what runs, where
// traffic goes, how a service is and why. Steps and tables are values; others
// carry them out.
package project

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"
	"time"

	"havre/internal/service"
	"havre/internal/spec"
)

// Record is all that is remembered of a project.
type Record struct {
	ID          spec.ProjectID
	Environment string
	Name        string
	Subnet      string       // of its network, CIDR; stays with it
	Removed     bool         // the person removed it; its volumes may still be there
	Declared    spec.Project // as it was applied last
	Services    []Service    // sorted by name; removed ones stay, so that their ports and volumes are found again
	Awaits      []Await      `json:",omitempty"` // new volumes that are not filled yet; no service starts on them
	Links       []LinkNet    `json:",omitempty"` // networks of links to other projects, for all rollouts that are remembered
	Version     int          // counts its changes; a store refuses to save over a newer one
}

// Await is a new volume that waits for what a directory has, on the machine of
// the person who applied the project.
type Await struct {
	Volume string
	From   string // as the person's file names it
}

// Awaiting tells whether a volume is not filled yet.
func (r *Record) Awaiting(volume string) bool {
	return slices.ContainsFunc(r.Awaits, func(a Await) bool { return a.Volume == volume })
}

// Unfilled tells whether the target of s waits for a volume to be filled.
func (r *Record) Unfilled(s *Service) bool {
	t := s.Rollout(s.Target)
	return t != nil && s.Target != s.Active && slices.ContainsFunc(t.Spec.Mounts, func(m spec.Mount) bool { return m.Kind == spec.Volume && r.Awaiting(m.Source) })
}

// Service is what is remembered of a service.
type Service struct {
	ID       spec.ServiceID
	Name     string
	Stopped  bool // the person stopped it
	Removed  bool
	Active   int       // the rollout that serves; 0: none yet
	Target   int       // the rollout that should serve
	Rollouts []Rollout // ascending
}

// RolloutState is how a rollout fared.
type RolloutState string

// The states.
const (
	Pending RolloutState = "pending" // on its way
	Active  RolloutState = "active"  // it serves
	Failed  RolloutState = "failed"  // it never got healthy
	Retired RolloutState = "retired" // another one took its place
)

// Rollout is the numbered record of a deploy of one service.
type Rollout struct {
	Number  int
	State   RolloutState
	Reason  string       // why it failed
	Lines   []string     // the last lines it printed before it was given up
	Digest  string       // two rollouts with equal digests run alike
	Spec    spec.Service // with final ports and volumes
	Files   []spec.File  // the ones it mounts
	Image   service.Image
	Created time.Time
	Started time.Time // when its first container was asked for; zero before
	Left    time.Time // when it was taken out of the routes for another one; zero before
	LeftFor int       // that one's number

	Secrets []service.Secret `json:",omitempty"` // the ones it mounts; their values are in the vault

	Declared *spec.Service `json:",omitempty"` // Spec as it was written; nil in records from before this was kept
	Joins    []Join        `json:",omitempty"` // its ends of links with other projects, since its swarm service was made
	Back     int           `json:",omitempty"` // the rollout that a rollback made it like
	Upgraded bool          `json:",omitempty"` // its upgrade has done its work

	Trouble *service.Trouble `json:",omitempty"` // how its containers ended badly of late; nil: they did not. Never changed in place
}

// Records remembers projects.
type Records interface {
	Projects(ctx context.Context) ([]Record, error)
	SaveProject(ctx context.Context, r Record) error
	ForgetProject(ctx context.Context, id spec.ProjectID) error
}

// Holds tells whether a rollout that serves has a volume: one that is gone all
// the same was taken away behind Havre's back.
func (r *Record) Holds(volume string) bool {
	return slices.ContainsFunc(r.Present(), func(s *Service) bool {
		serves := s.Rollout(s.Active)
		return serves != nil && slices.ContainsFunc(serves.Spec.Mounts, func(m spec.Mount) bool { return m.Kind == spec.Volume && m.Source == volume })
	})
}

// Rollout finds a rollout by number.
func (s *Service) Rollout(n int) *Rollout {
	for i := range s.Rollouts {
		if s.Rollouts[i].Number == n {
			return &s.Rollouts[i]
		}
	}
	return nil
}

// Last is the highest number given so far.
func (s *Service) Last() int {
	if len(s.Rollouts) == 0 {
		return 0
	}
	return s.Rollouts[len(s.Rollouts)-1].Number
}

// Current is the rollout that serves or, when none does, the one on its way.
func (s *Service) Current() *Rollout {
	if r := s.Rollout(s.Active); r != nil {
		return r
	}
	return s.Rollout(s.Target)
}

// Held are the rollouts whose ports and domains are the service's: during an
// update those of the one that serves and of the one that comes.
func (s *Service) Held() []*Rollout {
	var held []*Rollout
	for _, n := range []int{s.Active, s.Target} {
		if r := s.Rollout(n); r != nil && !slices.Contains(held, r) {
			held = append(held, r)
		}
	}
	return held
}

// Leaves tells whether what serves is out of the routes already, to make way
// for the target.
func (s *Service) Leaves() bool {
	r := s.Rollout(s.Active)
	return r != nil && s.Target != s.Active && r.LeftFor == s.Target
}

// leave takes a rollout out of the routes for another one.
func (r *Rollout) leave(other int, now time.Time) {
	if r.LeftFor != other {
		r.Left, r.LeftFor = now, other
	}
}

// tooLate is the reason of a rollout that never had the time to serve.
const tooLate = "another rollout took its place before it was healthy"

// Overtake makes history of a rollout that is still on its way.
func (r *Rollout) Overtake() {
	if r != nil && r.State == Pending {
		r.State, r.Reason = Retired, tooLate
	}
}

// Overtaken tells whether a rollout never had the time to serve.
func (r *Rollout) Overtaken() bool { return r.Reason == tooLate }

// Served tells whether the rollout once had the traffic.
func (r *Rollout) Served() bool { return r.State == Active || r.State == Retired && r.Reason == "" }

// Anew is a rollout that runs like r and has not begun yet.
func (r *Rollout) Anew(now time.Time) Rollout {
	return Rollout{State: Pending, Digest: r.Digest, Spec: r.Spec, Files: r.Files, Secrets: r.Secrets, Image: r.Image, Declared: r.Declared, Created: now}
}

// Again lets a rollout's time to get healthy begin anew, if it began at all,
// and forgets what trouble it had: the person wants it tried now.
func (r *Rollout) Again(now time.Time) {
	r.Trouble = nil
	if !r.Started.IsZero() {
		r.Started = now
	}
}

// Forgive makes history of rollouts that failed after the target: the person
// has asked for the target since.
func (s *Service) Forgive() {
	for i := range s.Rollouts {
		if r := &s.Rollouts[i]; r.Number > s.Target && r.State == Failed {
			r.State = Retired
		}
	}
}

// Service finds a service by name, removed or not.
func (r *Record) Service(name string) *Service {
	for i := range r.Services {
		if r.Services[i].Name == name {
			return &r.Services[i]
		}
	}
	return nil
}

// ByID finds a service that was not removed.
func (r *Record) ByID(id spec.ServiceID) *Service {
	for i := range r.Services {
		if r.Services[i].ID == id && !r.Services[i].Removed {
			return &r.Services[i]
		}
	}
	return nil
}

// Present gives the services that were not removed.
func (r *Record) Present() []*Service {
	var present []*Service
	for i := range r.Services {
		if !r.Removed && !r.Services[i].Removed {
			present = append(present, &r.Services[i])
		}
	}
	return present
}

// kept is how many rollouts of a service are remembered besides those in use.
const kept = 20

// Add appends a rollout and forgets the oldest ones that no one needs.
func (s *Service) Add(r Rollout) {
	s.Rollouts = append(s.Rollouts, r)
	for len(s.Rollouts) > kept {
		i := slices.IndexFunc(s.Rollouts, s.forgettable)
		s.Rollouts = slices.Delete(s.Rollouts, i, i+1)
	}
}

// forgettable tells whether a rollout may be forgotten. One that served is kept
// as long as half of the others did not: many bad tries must not take away what
// one can go back to.
func (s *Service) forgettable(r Rollout) bool {
	if r.Number == s.Active || r.Number == s.Target {
		return false
	}
	vain := 0
	for i := range s.Rollouts {
		if !s.Rollouts[i].Served() {
			vain++
		}
	}
	return vain <= kept/2 || !r.Served()
}

var lower = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewID makes 8 random lower-case base32 characters.
func NewID() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return strings.ToLower(lower.EncodeToString(b))
}
