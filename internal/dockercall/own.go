package dockercall

// The kinds of Havre's own calls: POST /havre/v1/<name>, a JSON object each.
const (
	SwarmKind        Kind = "Swarm"
	VolumeEnsureKind Kind = "VolumeEnsure"
	VolumeListKind   Kind = "VolumeList"
	VolumeRemoveKind Kind = "VolumeRemove"
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
}

// VolumeEnsure makes a volume's directory, seeded from an image, if it does
// not exist.
type VolumeEnsure struct {
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
	Image       ImageID     `json:"image"`
	Path        Path        `json:"path"` // where the service mounts it
	User        User        `json:"user"` // as whom the service runs; "" is the image's user
}

// VolumeSource answers VolumeEnsure.
type VolumeSource struct {
	Source  string `json:"source"` // for a bind mount
	Created bool   `json:"created"`
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

// Holder asks which process of the machine listens on a TCP port.
type Holder struct {
	Port uint16 `json:"port"`
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
func (Portal) Kind() Kind       { return PortalKind }
func (Firewall) Kind() Kind     { return FirewallKind }
func (Purge) Kind() Kind        { return PurgeKind }

// RefusedHeader of an answer says, quoted as Go does, why the guard refused
// the call, with the rule's name.
const RefusedHeader = "X-Havre-Refused"
