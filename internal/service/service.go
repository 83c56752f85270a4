// Package service is about one service: what should run (Desired), what does
// run (Observed), whether that is well, and what to do next.
package service

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"havre/internal/spec"
)

// Desired is one rollout of one service, with everything looked up that the
// declaration left open. It is all the swarm needs to know.
type Desired struct {
	Environment string
	Project     spec.ProjectID
	ID          spec.ServiceID
	Rollout     int
	Network     string        // id of the project's network
	Joins       []Join        // link networks it is on besides
	Image       string        // id of the image, sha256:…
	Spec        spec.Service  // as declared; Ports hold their final external numbers
	Variables   []string      // NAME=value, sorted: the declared ones and those of links
	Binds       []Bind        // where volumes are on this machine
	CheckStart  time.Duration // in which failed checks do not count; 0: it has no check
	Files       []File        // the configs that carry the declared files
	Secrets     []SecretFile  // the swarm's secrets that carry the declared ones
}

// Join is a service's end of a link network.
type Join struct {
	Network string   // id
	Aliases []string // what it is called there; a link's source has no name there
}

// Bind mounts a volume's directory.
type Bind struct {
	Source   string // on the machine
	Target   string // in the container
	ReadOnly bool
}

// File mounts a small file that the swarm keeps.
type File struct {
	ConfigID   string
	ConfigName string
	Target     string
	Mode       uint32
	UID        uint32
	GID        uint32
	Content    []byte
}

// Owner is whose a mounted file is, and who may read it.
type Owner struct {
	UID, GID uint32
	Mode     uint32 // 0 is 0444
}

// String tells owners apart that differ in the container.
func (o Owner) String() string {
	return fmt.Sprintf("%d:%d:%04o", o.UID, o.GID, cmp.Or(o.Mode, 0o444))
}

// Secret is one that a rollout mounts, and which of its values. The value
// itself is kept apart.
type Secret struct {
	Name     string // as the service calls it
	External string `json:",omitempty"` // of the environment, by this name; "" is the project's own
	Version  string // fingerprint of the value; the same for the same value
}

// SecretUse is a secret, and whose it is where it is mounted.
type SecretUse struct {
	Secret
	Owner
}

// SecretFile mounts a secret that the swarm keeps.
type SecretFile struct {
	SecretID   string
	SecretName string
	Target     string
	UID        uint32
	GID        uint32
	Mode       uint32
}

// Name is the swarm service's name: at most 63 characters and no dots.
func (d Desired) Name() string { return Name(d.Project, d.ID, d.Rollout) }

// Name makes a swarm service's name.
func Name(p spec.ProjectID, s spec.ServiceID, rollout int) string {
	return fmt.Sprintf("h-%s-%s-r%d", p, s, rollout)
}

// Digest tells declarations apart: two services with equal digests run alike.
// What only routes and people see (domains, access, front, keys, external ports,
// priority), how it is updated, or what runs before it, does not count, because it changes without a new container.
func Digest(s spec.Service, image string, files []spec.File, secrets []Secret) string {
	s.Domains, s.Access, s.Front, s.Keys, s.Priority, s.Needs = nil, "", spec.Front{}, nil, 0, nil
	s.Pull = ""  // the image counts, not when it came
	s.Order = "" // of an update; asking for one must not make one
	s.Replicas, s.Shared, s.Disabled = 0, false, false
	s.InitHook, s.InitTimeout, s.UpgradeHook, s.UpgradeTimeout = nil, 0, nil, 0
	s.Ports = innerSide(s.Ports) // health looks at them
	text, err := json.Marshal(struct {
		Spec    spec.Service
		Image   string
		Files   []spec.File
		Secrets []Secret `json:",omitempty"`
	}{s, image, files, secrets})
	if err != nil {
		panic(fmt.Sprintf("a service is always JSON: %v", err)) // only types of ours, all marshallable
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// innerSide is what a container knows of its ports: not how often, in which
// order and by which numbers they are published.
func innerSide(ports []spec.Port) []spec.Port {
	var inner []spec.Port
	for _, p := range ports {
		inner = append(inner, spec.Port{Internal: p.Internal, Protocol: p.Protocol})
	}
	slices.SortFunc(inner, func(a, b spec.Port) int {
		return cmp.Or(cmp.Compare(a.Internal, b.Internal), cmp.Compare(a.Protocol, b.Protocol))
	})
	return slices.Compact(inner)
}

// Observed is a swarm service of ours as the engine reports it. When the swarm
// service is gone but containers of it still stop, SwarmID is empty.
type Observed struct {
	SwarmID     string
	Environment string
	Project     spec.ProjectID
	ID          spec.ServiceID
	Rollout     int
	Replicas    int      // as the swarm was told
	Networks    []string // ids of those it was made for; nil when SwarmID is empty
	Tasks       []Task   // newest first; ended ones too, as far as the engine remembers them
}

// State is where a task stands, in Swarm's order folded to what matters here.
type State string

// The states.
const (
	Waiting  State = "waiting"  // not placed yet
	Starting State = "starting" // being prepared, or its health check has not passed yet
	Running  State = "running"
	Complete State = "complete" // ended with exit code 0
	Failed   State = "failed"   // ended otherwise, or could not start
	Stopped  State = "stopped"  // ended because it was told to
)

// Ended tells whether nothing of the task runs any more.
func (s State) Ended() bool { return s == Complete || s == Failed || s == Stopped }

// Task is one container's life in a service.
type Task struct {
	ID        string
	Container string // full id; "" before there is one
	Node      spec.NodeID
	Slot      int
	State     State
	Wanted    bool       // the swarm wants it to run
	Duty      Duty       // "", or it is not the service yet, but a hook
	Address   netip.Addr // on the project's network; invalid while unknown
	Health    string     // "healthy", "unhealthy", "starting", or "" without a check
	HealthLog string     // what the last failed check printed
	ExitCode  int
	OOM       bool
	Error     string    // the engine's words
	Since     time.Time // of its state
	Created   time.Time
}

// Live gives the tasks that run or are about to.
func (o Observed) Live() []Task {
	var live []Task
	for _, t := range o.Tasks {
		if !t.State.Ended() {
			live = append(live, t)
		}
	}
	return live
}

// LinkVariables are what Docker's links told a container about another one
// (ALIAS_PORT_25_TCP_ADDR and so on), but with the name for an address, as
// addresses change. ports are the target's, in any order.
func LinkVariables(alias string, ports []uint16) []string {
	if len(ports) == 0 {
		return nil
	}
	lowest := ports[0]
	for _, p := range ports {
		lowest = min(lowest, p)
	}
	upper := strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(alias))
	vars := []string{fmt.Sprintf("%s_PORT=tcp://%s:%d", upper, alias, lowest)}
	for _, p := range ports {
		one := fmt.Sprintf("%s_PORT_%d_TCP", upper, p)
		vars = append(vars,
			fmt.Sprintf("%s=tcp://%s:%d", one, alias, p),
			fmt.Sprintf("%s_ADDR=%s", one, alias),
			fmt.Sprintf("%s_PORT=%d", one, p),
			fmt.Sprintf("%s_PROTO=tcp", one))
	}
	return vars
}
