package spec

import (
	"slices"
	"strings"

	"havre/internal/problem"
)

// Service is a container that should always run, as the person declared it.
type Service struct {
	Name           string            `json:"name"`                     // unique in the project, also without regard to case; the name others reach it by
	Image          string            `json:"image"`                    // a name in the environment, "debian:bookworm"
	Pull           Pull              `json:"pull,omitempty"`           // when it comes from a registry; "" is when there is none of this name
	Entrypoint     []string          `json:"entrypoint,omitempty"`     // in place of the image's; nil keeps it, [""] takes it away
	Command        []string          `json:"command,omitempty"`        // in place of the image's; nil keeps it
	Environment    map[string]string `json:"environment,omitempty"`    // variables
	Ports          []Port            `json:"ports,omitempty"`          // reachable from outside the project
	Expose         []uint16          `json:"expose,omitempty"`         // TCP ports it listens on inside; links and health look at them
	Mounts         []Mount           `json:"mounts,omitempty"`         // volumes, files, memory
	Needs          []Need            `json:"needs,omitempty"`          // what must be there before it starts
	Links          []Link            `json:"links,omitempty"`          // other services whose address it is told by variables
	Aliases        []string          `json:"aliases,omitempty"`        // more names on the project's network
	Health         *Health           `json:"health,omitempty"`         // nil keeps the image's
	Replicas       int               `json:"replicas"`                 // how many containers; 0 is declared but not running
	Shared         bool              `json:"shared,omitempty"`         // several containers of it may write to its volumes at once
	Limits         Limits            `json:"limits,omitzero"`          // the most it may use
	Reserve        Limits            `json:"reserve,omitzero"`         // what must be free on the node that runs it
	Restart        Restart           `json:"restart,omitzero"`         // when a container that ended is started again
	User           string            `json:"user,omitempty"`           // in place of the image's: uid, name, uid:gid
	WorkingDir     string            `json:"workingDir,omitempty"`     // in place of the image's
	Hostname       string            `json:"hostname,omitempty"`       // the container's own idea of its name
	ReadOnly       bool              `json:"readOnly,omitempty"`       // root file system cannot be written
	Init           bool              `json:"init,omitempty"`           // a small init process reaps children
	InitHook       []string          `json:"initHook,omitempty"`       // a command that fills its volumes while they are new; nil keeps the image's (/dk/container_init), [""] takes it away
	InitTimeout    Duration          `json:"initTimeout,omitempty"`    // how long that may take; 0 is an hour
	UpgradeHook    []string          `json:"upgradeHook,omitempty"`    // a command that brings its data to a new image, once for each update to another image; nil is none
	UpgradeTimeout Duration          `json:"upgradeTimeout,omitempty"` // how long that may take; 0 is an hour
	Labels         map[string]string `json:"labels,omitempty"`         // for the person's own tools
	StopSignal     string            `json:"stopSignal,omitempty"`     // in place of the image's
	StopGrace      Duration          `json:"stopGrace,omitempty"`      // time between that signal and SIGKILL; 0 means 10 s
	Order          Order             `json:"order,omitempty"`          // of an update; "" is StartFirst unless it writes data
	Groups         []string          `json:"groups,omitempty"`         // more groups of its user: gids, or names in the image
	TTY            bool              `json:"tty,omitempty"`            // its output is a terminal
	Stdin          bool              `json:"stdin,omitempty"`          // its standard input stays open, and nothing comes
	CapAdd         []string          `json:"capAdd,omitempty"`         // capabilities beyond every container's, which root has to grant: NET_ADMIN
	CapDrop        []string          `json:"capDrop,omitempty"`        // capabilities it does without: CHOWN, or ALL
	Ulimits        []Ulimit          `json:"ulimits,omitempty"`        // limits of its processes; sorted by name
	Sysctls        map[string]string `json:"sysctls,omitempty"`        // kernel settings of its own network; see sysctlForms
	Hosts          []Host            `json:"hosts,omitempty"`          // more names it knows; sorted
	DNS            DNS               `json:"dns,omitzero"`             // how it looks up names from outside the project
	Log            Log               `json:"log,omitzero"`             // how much of its output is kept
	Domains        []Domain          `json:"domains,omitempty"`        // where it is served over HTTP and HTTPS
	Access         Access            `json:"access,omitempty"`         // of its domains; "" means public
	Front          Front             `json:"front,omitzero"`           // how the ingress serves it
	Disabled       bool              `json:"disabled,omitempty"`       // declared, but not to run until it is declared otherwise
	Priority       int               `json:"priority,omitempty"`       // start order where needs and links say nothing; low first
	Keys           []Key             `json:"keys,omitempty"`           // who may ssh into it
}

// Pull is when an image is taken from a registry, before a deploy begins.
type Pull string

// The times besides "", which is when the environment has none of the name.
const (
	PullAlways Pull = "always" // at each apply
	PullNever  Pull = "never"
)

// Order is whether an update starts the new containers or stops the old ones
// first, in Compose's words.
type Order string

// The orders. A service that writes data is always updated in the first.
const (
	StopFirst  Order = "stop-first"  // never two rollouts of it at once
	StartFirst Order = "start-first" // the old ones serve until the new ones are healthy
)

// Protocol is "tcp" or "udp".
type Protocol string

// The protocols.
const (
	TCP Protocol = "tcp"
	UDP Protocol = "udp"
)

// Port makes a port of the container reachable on the machine.
type Port struct {
	Internal uint16   `json:"internal"`           // in the container
	External uint16   `json:"external,omitempty"` // on the machine; 0 is a free one of 4000-59999 that stays with the service
	Protocol Protocol `json:"protocol"`
	Access   Access   `json:"access"`
}

// MountKind is what is mounted.
type MountKind string

// The kinds of mounts.
const (
	Volume MountKind = "volume" // kept data; Source is the volume's name in the project
	Config MountKind = "file"   // Source is the name of one of the project's Files; read-only
	Tmpfs  MountKind = "tmpfs"  // memory, gone with the container

	SecretFile MountKind = "secret" // Source is the name of one of the project's Secrets; a file in memory, read-only
)

// Mount puts something into the container's file system.
type Mount struct {
	Kind     MountKind `json:"kind"`
	Source   string    `json:"source,omitempty"`
	Target   string    `json:"target"` // absolute, clean path in the container
	ReadOnly bool      `json:"readOnly,omitempty"`
	Size     Bytes     `json:"size,omitempty"` // of a tmpfs; 0 is the engine's default
	UID      uint32    `json:"uid,omitempty"`  // of a secret's or config's file
	GID      uint32    `json:"gid,omitempty"`  // of a secret's or config's file
	Mode     uint32    `json:"mode,omitempty"` // of a secret's file: permission bits; 0 means 0444
	From     string    `json:"from,omitempty"` // of a volume: the directory beside the file that it stands for, "./data"; it begins empty, or with what that has
}

// Condition is how far a needed service must be.
type Condition string

// The conditions, in Compose's words.
const (
	Started   Condition = "started"
	Healthy   Condition = "healthy"
	Completed Condition = "completed" // ended with exit code 0
)

// Need is a service of the same project that must be there first.
type Need struct {
	Service   string    `json:"service"`
	Condition Condition `json:"condition"`
}

// Link tells a service by variables where another one is (NAME_PORT_25_TCP_ADDR
// and so on). The variables hold its name, because addresses change.
type Link struct {
	To    string   `json:"to"`              // a service of the same project, perhaps itself; "project/service" is one of another project
	Alias string   `json:"alias,omitempty"` // the name to use in the variables and on the network; "" is the target's own
	Ports []uint16 `json:"ports,omitempty"` // of the target; none means all its public and exposed ports
}

// Outside gives the project and the service of a link to another project; ok
// is false for a link within the project.
func (l Link) Outside() (project, service string, ok bool) { return strings.Cut(l.To, "/") }

// Name is what the source calls the target.
func (l Link) Name() string {
	_, other, outside := l.Outside()
	switch {
	case l.Alias != "":
		return l.Alias
	case outside:
		return other
	}
	return l.To
}

// Health is a check that runs inside the container.
type Health struct {
	Test     []string `json:"test,omitempty"`     // Docker's form: ["CMD", …], ["CMD-SHELL", "…"] or ["NONE"]; nil keeps the image's; Docker API 1.41, HealthConfig
	Interval Duration `json:"interval,omitempty"` // 0 is the engine's 30 s
	Timeout  Duration `json:"timeout,omitempty"`  // 0 is the engine's 30 s
	Start    Duration `json:"start,omitempty"`    // failures do not count in this first time
	Retries  int      `json:"retries,omitempty"`  // 0 is the engine's 3
}

// Limits are amounts of a machine. Zero means unlimited.
type Limits struct {
	Memory Bytes   `json:"memory,omitempty"`
	CPUs   float64 `json:"cpus,omitempty"` // in cores
	Pids   int64   `json:"pids,omitempty"` // processes and threads
}

// RestartPolicy says when a container that ended is started again.
type RestartPolicy string

// The policies. "" is Always.
const (
	Always    RestartPolicy = "always"
	OnFailure RestartPolicy = "on-failure"
	Never     RestartPolicy = "no"
)

// Restart is the policy and its bound.
type Restart struct {
	Policy   RestartPolicy `json:"policy,omitempty"`
	Attempts int           `json:"attempts,omitempty"` // most restarts under on-failure; 0 is no bound
}

// Domain is where the service is served over HTTP and HTTPS.
type Domain struct {
	Host string `json:"host,omitempty"` // lower case, no port; *.example.org is each name below; "" is the default domain alone
	Path string `json:"path,omitempty"` // only what is at this path or below; "" is all. The longest path of a host goes first
	Port uint16 `json:"port,omitempty"` // the container's; 0 is its only exposed port, else 80
	TLS  TLS    `json:"tls,omitempty"`  // who does TLS; "" is the ingress
}

// TLS says who does TLS for a domain.
type TLS string

// Passthrough has the service do its own: the ingress looks at the name that a
// client asks for and passes the bytes as they are.
const Passthrough TLS = "passthrough"

// WritesData tells whether two containers of the service at once could spoil
// each other's data. Such a service is stopped before its successor starts.
func (s Service) WritesData() bool {
	for _, m := range s.Mounts {
		if m.Kind == Volume && !m.ReadOnly {
			return true
		}
	}
	return false
}

// Crowds finds several containers that would write to the same data though
// nobody said that their program can do so; nil when there are none.
func (s Service) Crowds() *problem.Problem {
	if s.Replicas < 2 || s.Shared || !s.WritesData() {
		return nil
	}
	var names []string
	for _, m := range s.Mounts {
		if m.Kind == Volume && !m.ReadOnly && !slices.Contains(names, m.Source) {
			names = append(names, m.Source)
		}
	}
	return problem.New(problem.Invalid, "%d containers of %s would write to the same data (volumes: %s), and most programs, every database among them, ruin it so", s.Replicas, s.Name, strings.Join(names, ", ")).
		With("leave it at one container; if its program is made for that, say so in its file, x-havre: {volumes: shared}, or with: havre scale --shared")
}

// Excludes tells whether containers of s and of other, two declarations of one
// service, must not run at once: both write, or one of them wants to be alone.
func (s Service) Excludes(other Service) bool {
	return s.Order == StopFirst || other.Order == StopFirst || s.WritesData() && other.WritesData()
}

// Runs tells whether the service should have containers at all.
func (s Service) Runs() bool { return s.Replicas > 0 }
