package service

import (
	"time"

	"havre/internal/spec"
)

// Snapshot is everything of ours that the engine has, seen in one go.
type Snapshot struct {
	Services []Observed
	Networks []Network // projects' own
	Links    []Network // those between two projects
	Portals  []Portal
	Hooks    []Hook
	At       time.Time
}

// Network is an overlay of a project: its own, or one that leads from it to one
// service of another project.
type Network struct {
	ID          string
	Name        string
	Environment string
	Project     spec.ProjectID
	Target      Target // of a link network; zero for a project's own network
	Subnet      string // CIDR
}

// VolumeUse is how much a volume holds.
type VolumeUse struct {
	Path     string // on this machine
	Bytes    int64  // on the disk
	Files    int64
	Partial  bool      // there is more than was counted
	Modified time.Time // the newest change of a file; zero when there is none
}

// Cleaning says what of a volume is emptied.
type Cleaning struct {
	Part string // "" is all; cache or log of a volume that is all of /vol
	Keep bool   // files stay and become empty
}

// Duty is what a hook is for.
type Duty string

// The duties.
const (
	Init    Duty = "init"    // fills new volumes
	Upgrade Duty = "upgrade" // brings data to another image
)

// Hook is a swarm service that runs once on a service's volumes before the
// service does.
type Hook struct {
	Duty        Duty
	SwarmID     string // "" of what is left of one
	Container   string // full id; "" before there is one
	Environment string
	Project     spec.ProjectID
	Service     spec.ServiceID
	Rollout     int
	// Waiting or Running; Complete when it ran and ended, whatever its code;
	// Failed when it never ran.
	State   State
	Error   string // what the swarm says went wrong; it has not done its work then
	Leaves  bool   // it was removed: this is what is left, and counts for nothing
	Created time.Time
	Began   time.Time // when its container ran; zero before that
}

// Live tells whether a hook runs, or will.
func (h Hook) Live() bool { return h.State == Waiting || h.State == Running }

// Target is the service that a link network leads to.
type Target struct {
	Project spec.ProjectID
	Service spec.ServiceID
}

// Image is what an image says about itself.
type Image struct {
	ID       string            // sha256:…
	Ports    []uint16          // TCP ports it exposes, sorted
	Volumes  []string          // paths it wants kept, sorted
	Kept     []string          // directories below /vol that it has, sorted
	Init     string            // the program that fills new volumes; "" is none
	User     string            // "" is root
	Health   bool              // it brings a health check
	Start    time.Duration     `json:",omitempty"` // in which failures of that do not count, as it says; 0: it does not
	Labels   map[string]string // its labels
	Size     int64             // in bytes
	Created  time.Time
	Platform string // os/arch
}

// Volume is a volume as a service needs it: seeded from its image when new.
type Volume struct {
	Environment string
	Project     spec.ProjectID
	Name        string
	Image       string // id
	Path        string // where the image has it
	User        string // whose it is; "" is the image's user
	Kept        bool   // a service had it before: it is not made anew when it is gone
	Bare        bool   // it begins empty, whatever its image has there
}
