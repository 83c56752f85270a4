package dockercall

// The kinds of Havre's own calls: POST /havre/v1/<name>, a JSON object each.
const (
	SwarmKind        Kind = "Swarm"
	VolumeEnsureKind Kind = "VolumeEnsure"
	VolumeListKind   Kind = "VolumeList"
	VolumeRemoveKind Kind = "VolumeRemove"
	VolumeSettleKind Kind = "VolumeSettle"
	VolumeUsageKind  Kind = "VolumeUsage"
	VolumeCleanKind  Kind = "VolumeClean"
	ConventionsKind  Kind = "Conventions"
	PortalKind       Kind = "Portal"
	FirewallKind     Kind = "Firewall"
	PurgeKind        Kind = "Purge"
	HolderKind       Kind = "Holder"
)

// The paths of Havre's own calls.
const (
	SwarmPath        = own + "swarm"
	VolumeEnsurePath = own + "volume"
	VolumeListPath   = own + "volumes"
	VolumeRemovePath = own + "volume/rm"
	VolumeSettlePath = own + "volume/settle"
	VolumeUsagePath  = own + "volume/usage"
	VolumeCleanPath  = own + "volume/clean"
	ConventionsPath  = own + "conventions"
	PortalPath       = own + "portal"
	FirewallPath     = own + "firewall"
	PurgePath        = own + "purge"
	HolderPath       = own + "holder"
)

// Swarm makes the engine a swarm of one node if it is in none.
type Swarm struct{}

// SwarmAnswer answers Swarm.
type SwarmAnswer struct {
	Node    SwarmID `json:"node"`
	Created bool    `json:"created"`

	Capabilities []Capability `json:"capabilities,omitempty"` // what root lets services add
}

// VolumeEnsure makes a volume's directory, seeded from an image, if it does
// not exist.
type VolumeEnsure struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
	Image       ImageID     `json:"image"`
	Path        Path        `json:"path"`           // where the service mounts it
	User        User        `json:"user"`           // as whom the service runs; "" is the image's user
	Kept        bool        `json:"kept,omitempty"` // it held data before: when it is gone, an empty one is not made in its place
}

// VolumeSource answers VolumeEnsure.
type VolumeSource struct {
	Source  string `json:"source"` // for a bind mount
	Created bool   `json:"created"`
	New     bool   `json:"new"` // no service has started on it yet: its init is still due
}

// VolumeList lists volumes; "" means all.
type VolumeList struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
}

// Volume names a volume. A list of them answers VolumeList.
type Volume struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
}

// VolumeRemove removes a volume and what it holds, unless a container
// mounts it.
type VolumeRemove struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
}

// VolumeSettle says that a volume is new no more: what fills it before its
// first service starts has done so, or there is nothing that would.
type VolumeSettle struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
}

// VolumeUsage asks how much a volume holds.
type VolumeUsage struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
	Most        int64       `json:"most"` // look at so many files at most; 0 leaves it to the guard
}

// VolumeUse answers VolumeUsage.
type VolumeUse struct {
	Bytes    int64  `json:"bytes"`    // that it takes on the disk
	Files    int64  `json:"files"`    // and directories
	Partial  bool   `json:"partial"`  // there is more: counting was given up
	Modified int64  `json:"modified"` // the newest change of a file, in seconds since 1970
	Path     string `json:"path"`     // its directory
}

// VolumeClean empties a volume that is a service's cache or log, or that part
// of one.
type VolumeClean struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
	Part        VolumePart  `json:"part"` // "" is all of it
	Keep        bool        `json:"keep"` // make files empty and leave them there, as for logs that are open
}

// VolumePart is cache or log, the directories that may be emptied in a volume
// that holds all of /vol.
type VolumePart string

func (p VolumePart) check() error {
	if p != "cache" && p != "log" {
		return refuse(BadValue, "%.20q is neither cache nor log", string(p))
	}
	return nil
}

// VolumeCleaned answers VolumeClean.
type VolumeCleaned struct {
	Bytes int64 `json:"bytes"` // that were freed
	Files int64 `json:"files"`
}

// Conventions asks which of ConventionPaths an image has.
type Conventions struct {
	Image ImageID `json:"image"`
}

// ConventionPaths are the places in an image that mean something to Havre:
// directories below /vol, programs below /dk.
var ConventionPaths = []string{
	"/vol/rw", "/vol/ro", "/vol/cache", "/vol/log",
	"/dk/container_init", "/dk/init_container", "/dk/image_upgrade",
}

// ConventionsAnswer answers Conventions.
type ConventionsAnswer struct {
	Paths []string `json:"paths"`
}

// Portal makes the portal's image and an environment's directory for it.
type Portal struct {
	Environment Environment `json:"environment"`
}

// PortalPlace answers Portal.
type PortalPlace struct {
	Image     ImageID `json:"image"`
	Directory string  `json:"directory"`
	User      User    `json:"user"` // as whom it runs
}

// Firewall keeps containers from Havre's own ports and the engine's.
type Firewall struct {
	Ports []uint16 `json:"ports"`
}

// Purge removes everything of this Havre's from the engine.
type Purge struct{}

// PurgeAnswer answers Purge.
type PurgeAnswer struct {
	Removed []string `json:"removed"`
}

// Holder asks which process of the machine has a TCP or UDP port.
type Holder struct {
	Port     uint16       `json:"port"`
	Protocol PortProtocol `json:"protocol,omitempty"` // "" is tcp
}

// PortProtocol is tcp or udp.
type PortProtocol string

// UDPPort is the PortProtocol of UDP ports.
const UDPPort PortProtocol = "udp"

func (p PortProtocol) check() error {
	switch p {
	case "", "tcp", UDPPort:
		return nil
	}
	return refuse(BadValue, "%.20q is neither tcp nor udp", string(p))
}

// HolderAnswer answers Holder; PID 0 is nobody.
type HolderAnswer struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

// Kind is the call's kind.
func (Holder) Kind() Kind       { return HolderKind }
func (Swarm) Kind() Kind        { return SwarmKind }
func (VolumeEnsure) Kind() Kind { return VolumeEnsureKind }
func (VolumeList) Kind() Kind   { return VolumeListKind }
func (VolumeRemove) Kind() Kind { return VolumeRemoveKind }
func (VolumeSettle) Kind() Kind { return VolumeSettleKind }
func (VolumeUsage) Kind() Kind  { return VolumeUsageKind }
func (VolumeClean) Kind() Kind  { return VolumeCleanKind }
func (Conventions) Kind() Kind  { return ConventionsKind }
func (Portal) Kind() Kind       { return PortalKind }
func (Firewall) Kind() Kind     { return FirewallKind }
func (Purge) Kind() Kind        { return PurgeKind }

// RefusedHeader of an answer says, quoted as Go does, why the guard refused
// the call, with the rule's name.
const RefusedHeader = "X-Havre-Refused"
