package dockercall

import (
	"time"

	"havre/internal/pattern"
)

// The kinds about swarm services and their tasks.
const (
	ServiceCreateKind  Kind = "ServiceCreate"
	ServiceListKind    Kind = "ServiceList"
	ServiceInspectKind Kind = "ServiceInspect"
	ServiceUpdateKind  Kind = "ServiceUpdate"
	ServiceRemoveKind  Kind = "ServiceRemove"
	TaskListKind       Kind = "TaskList"
)

// ServiceCreate makes the swarm service of one rollout.
type ServiceCreate struct {
	Spec ServiceSpec `body:"json"`
}

// ServiceList lists Havre's swarm services.
type ServiceList struct {
	Filters Filters `query:"filters"`
	Status  bool    `query:"status"`
}

// ServiceInspect shows one swarm service of Havre's.
type ServiceInspect struct {
	ID             SwarmID `path:"ID"`
	InsertDefaults bool    `query:"insertDefaults"`
}

// ServiceUpdate changes one swarm service of Havre's.
type ServiceUpdate struct {
	ID      SwarmID     `path:"ID"`
	Version uint64      `query:"version"`
	Spec    ServiceSpec `body:"json"`
}

// ServiceRemove removes one swarm service of Havre's.
type ServiceRemove struct {
	ID SwarmID `path:"ID"`
}

// TaskList lists the tasks of Havre's swarm services.
type TaskList struct {
	Filters Filters `query:"filters"`
}

// ServiceSpec is a swarm service. Docker API 1.41, ServiceSpec.
type ServiceSpec struct {
	Name         ObjectName
	Labels       Labels `json:",omitzero"`
	TaskTemplate TaskSpec
	Mode         ServiceMode
	UpdateConfig *UpdateConfig `json:",omitzero"`
	EndpointSpec *EndpointSpec `json:",omitzero"`

	// Never set.
	RollbackConfig, Networks Zero `json:",omitzero"`
}

// TaskSpec is what each replica runs.
type TaskSpec struct {
	ContainerSpec *ContainerSpec
	Resources     *Resources     `json:",omitzero"`
	RestartPolicy *RestartPolicy `json:",omitzero"`
	Placement     *Placement     `json:",omitzero"`
	Networks      []Attachment   `json:",omitzero"`
	LogDriver     *LogDriver     `json:",omitzero"`
	ForceUpdate   uint64         `json:",omitzero"`
	Runtime       Container      `json:",omitzero"`

	// Never set.
	PluginSpec, NetworkAttachmentSpec Zero `json:",omitzero"`
}

// Container is the word "container", or nothing.
type Container string

func (c Container) check() error {
	if c != "container" {
		return refuse(ForbiddenField, "only containers are run")
	}
	return nil
}

// ContainerSpec is the container of a task.
type ContainerSpec struct {
	Image           ImageID
	Labels          Labels         `json:",omitzero"`
	Command         []Word         `json:",omitzero"`
	Args            []Word         `json:",omitzero"`
	Hostname        Alias          `json:",omitzero"`
	Env             []EnvVar       `json:",omitzero"`
	Dir             Path           `json:",omitzero"`
	User            User           `json:",omitzero"`
	Groups          []Group        `json:",omitzero"`
	Init            *bool          `json:",omitzero"`
	StopSignal      Signal         `json:",omitzero"`
	StopGracePeriod *time.Duration `json:",omitzero"`
	TTY             bool           `json:",omitzero"`
	OpenStdin       bool           `json:",omitzero"`
	ReadOnly        bool           `json:",omitzero"`
	Mounts          []Mount        `json:",omitzero"`
	Healthcheck     *Health        `json:",omitzero"`
	Configs         []ConfigRef    `json:",omitzero"`
	Secrets         []SecretRef    `json:",omitzero"`
	Isolation       Isolation      `json:",omitzero"`
	CapabilityAdd   []Capability   `json:",omitzero"`
	CapabilityDrop  []Capability   `json:",omitzero"`
	Hosts           []HostLine     `json:",omitzero"`
	DNSConfig       *DNSConfig     `json:",omitzero"`
	Sysctls         Sysctls        `json:",omitzero"`
	Ulimits         []Ulimit       `json:",omitzero"`

	// Never set.
	Privileges, OomScoreAdj Zero `json:",omitzero"`
}

// Files are where configs and secrets are mounted.
func (c ContainerSpec) Files() []Path {
	var all []Path
	for _, r := range c.Configs {
		if r.File != nil {
			all = append(all, r.File.Name)
		}
	}
	for _, r := range c.Secrets {
		if r.File != nil {
			all = append(all, r.File.Name)
		}
	}
	return all
}

// Isolation is "default", which an engine adds, or nothing.
type Isolation string

func (i Isolation) check() error {
	if i != "default" {
		return refuse(ForbiddenField, "isolation must not be set")
	}
	return nil
}

// Mount puts something into a container's file system.
type Mount struct {
	Type         MountType
	Source       string `json:",omitzero"` // a volume's top directory; nothing for tmpfs
	Target       Path
	ReadOnly     bool          `json:",omitzero"`
	TmpfsOptions *TmpfsOptions `json:",omitzero"`

	// Never set.
	Consistency, BindOptions, VolumeOptions, ImageOptions, ClusterOptions Zero `json:",omitzero"`
}

// MountType is bind or tmpfs. The engine's own volumes are not used: its
// drivers take options that mount anything.
type MountType string

// The types of mounts.
const (
	BindMount  MountType = "bind"
	TmpfsMount MountType = "tmpfs"
)

func (t MountType) check() error {
	if t != BindMount && t != TmpfsMount {
		return refuse(BadValue, "mounts are of type bind or tmpfs, not %.20q", string(t))
	}
	return nil
}

// TmpfsOptions bound a tmpfs.
type TmpfsOptions struct {
	SizeBytes int64  `json:",omitzero"`
	Mode      uint32 `json:",omitzero"`
	Options   Zero   `json:",omitzero"`
}

// Health is a check run inside the container.
type Health struct {
	Test          []Word        `json:",omitzero"`
	Interval      time.Duration `json:",omitzero"`
	Timeout       time.Duration `json:",omitzero"`
	StartPeriod   time.Duration `json:",omitzero"`
	Retries       int64         `json:",omitzero"`
	StartInterval Zero          `json:",omitzero"`
}

// ConfigRef mounts a config as a file.
type ConfigRef struct {
	File       *ConfigFile
	ConfigID   SwarmID
	ConfigName ObjectName
	Runtime    Zero `json:",omitzero"`
}

// ConfigFile is where a config or a secret is, and as whose.
type ConfigFile struct {
	Name Path
	UID  Number
	GID  Number
	Mode uint32
}

// Number is a small decimal number written as a text.
type Number string

var numberForm = pattern.New(`^(0|[1-9][0-9]{0,8})$`)

func (n Number) check() error { return form(numberForm, string(n), "a number") }

// Resources are what a task may use and what is kept for it.
type Resources struct {
	Limits       *Limits       `json:",omitzero"`
	Reservations *Reservations `json:",omitzero"`

	// Never set.
	SwapBytes, MemorySwappiness Zero `json:",omitzero"`
}

// Limits are the most a task may use.
type Limits struct {
	NanoCPUs    int64 `json:",omitzero"`
	MemoryBytes int64 `json:",omitzero"`
	Pids        int64 `json:",omitzero"`
}

// Reservations are what must be free on the node.
type Reservations struct {
	NanoCPUs         int64 `json:",omitzero"`
	MemoryBytes      int64 `json:",omitzero"`
	GenericResources Zero  `json:",omitzero"`
}

// RestartPolicy is when a task that ended is replaced.
type RestartPolicy struct {
	Condition   RestartCondition `json:",omitzero"`
	Delay       *time.Duration   `json:",omitzero"`
	MaxAttempts *uint64          `json:",omitzero"`
	Window      *time.Duration   `json:",omitzero"`
}

// RestartCondition is none, on-failure or any.
type RestartCondition string

func (c RestartCondition) check() error {
	if c != "none" && c != "on-failure" && c != "any" {
		return refuse(BadValue, "%.20q is not a restart condition", string(c))
	}
	return nil
}

// Placement is where tasks may run.
type Placement struct {
	Constraints []Constraint `json:",omitzero"`
	MaxReplicas uint64       `json:",omitzero"`

	// Never set.
	Preferences, Platforms Zero `json:",omitzero"`
}

// Attachment joins a task to a network.
type Attachment struct {
	Target     SwarmID
	Aliases    []Alias `json:",omitzero"`
	DriverOpts Zero    `json:",omitzero"`
}

// LogDriver is how the engine keeps output.
type LogDriver struct {
	Name    string            `json:",omitzero"`
	Options map[string]string `json:",omitzero"`
}

// ServiceMode is how many tasks run.
type ServiceMode struct {
	Replicated *Replicated

	// Never set.
	Global, ReplicatedJob, GlobalJob Zero `json:",omitzero"`
}

// Replicated is a fixed number of tasks.
type Replicated struct {
	Replicas *uint64
}

// UpdateConfig is how the swarm replaces tasks when a service changes.
type UpdateConfig struct {
	Parallelism     uint64        `json:",omitzero"`
	Delay           time.Duration `json:",omitzero"`
	FailureAction   FailureAction `json:",omitzero"`
	Monitor         time.Duration `json:",omitzero"`
	MaxFailureRatio Zero          `json:",omitzero"`
	Order           UpdateOrder   `json:",omitzero"`
}

// FailureAction is pause or continue: a rollback would bring back a
// specification that nobody judges again.
type FailureAction string

func (a FailureAction) check() error {
	if a != "pause" && a != "continue" {
		return refuse(BadValue, "an update that fails may pause or continue, not %.20q", string(a))
	}
	return nil
}

// UpdateOrder is stop-first or start-first.
type UpdateOrder string

func (o UpdateOrder) check() error {
	if o != "stop-first" && o != "start-first" {
		return refuse(BadValue, "%.20q is not an update order", string(o))
	}
	return nil
}

// EndpointSpec is how the service is found: by DNS, with no published port.
type EndpointSpec struct {
	Mode  string `json:",omitzero"` // dnsrr
	Ports Zero   `json:",omitzero"`
}

// Kind is the call's kind.
func (ServiceCreate) Kind() Kind  { return ServiceCreateKind }
func (ServiceList) Kind() Kind    { return ServiceListKind }
func (ServiceInspect) Kind() Kind { return ServiceInspectKind }
func (ServiceUpdate) Kind() Kind  { return ServiceUpdateKind }
func (ServiceRemove) Kind() Kind  { return ServiceRemoveKind }
func (TaskList) Kind() Kind       { return TaskListKind }
