package dockercall

import (
	"havre/internal/pattern"
)

// The kinds about containers.
const (
	ContainerCreateKind  Kind = "ContainerCreate"
	ContainerListKind    Kind = "ContainerList"
	ContainerInspectKind Kind = "ContainerInspect"
	ContainerStartKind   Kind = "ContainerStart"
	ContainerStopKind    Kind = "ContainerStop"
	ContainerRemoveKind  Kind = "ContainerRemove"
	ContainerLogsKind    Kind = "ContainerLogs"
	ContainerStatsKind   Kind = "ContainerStats"
)

// NeverStarted is the entry point of containers that are only looked into. No
// image has it.
const NeverStarted = "/never-started"

// ContainerCreate makes a portal, or a container that is never started, by
// which volumes are reached (a carrier).
type ContainerCreate struct {
	Name ObjectName    `query:"name"`
	Spec ContainerBody `body:"json"`
}

// ContainerBody is a container. Docker API 1.41, ContainerCreate.
type ContainerBody struct {
	Image       ImageID
	Labels      Labels   `json:",omitzero"`
	Entrypoint  []Word   `json:",omitzero"`
	Cmd         []Word   `json:",omitzero"`
	Env         []EnvVar `json:",omitzero"`
	Hostname    Alias    `json:",omitzero"`
	User        User     `json:",omitzero"`
	WorkingDir  Path     `json:",omitzero"`
	Tty         bool     `json:",omitzero"`
	StopSignal  Signal   `json:",omitzero"`
	StopTimeout *int64   `json:",omitzero"`
	Healthcheck *Health  `json:",omitzero"`

	HostConfig       *HostConfig
	NetworkingConfig *Networking `json:",omitzero"`

	AttachStdout, AttachStderr bool `json:",omitzero"` // of no effect on creation

	// Never set.
	Domainname, AttachStdin, ExposedPorts, OpenStdin, StdinOnce, ArgsEscaped, Volumes, NetworkDisabled, MacAddress,
	OnBuild, Shell Zero `json:",omitzero"`
}

// HostConfig is the part of a container that concerns the host.
type HostConfig struct {
	Mounts         []Mount       `json:",omitzero"`
	NetworkMode    NetworkMode   `json:",omitzero"`
	RestartPolicy  RestartPlain  `json:",omitzero"`
	AutoRemove     bool          `json:",omitzero"`
	CapAdd         []Capability  `json:",omitzero"`
	CapDrop        []Capability  `json:",omitzero"`
	ReadonlyRootfs bool          `json:",omitzero"`
	SecurityOpt    []SecurityOpt `json:",omitzero"`
	Memory         int64         `json:",omitzero"`
	NanoCpus       int64         `json:",omitzero"`
	PidsLimit      *int64        `json:",omitzero"`
	LogConfig      LogConfig     `json:",omitzero"`
	Init           *bool         `json:",omitzero"`
	DnsOptions     []DNSOption   `json:",omitzero"`
	Sysctls        Sysctls       `json:",omitzero"`

	// Never set.
	Binds, ContainerIDFile, PortBindings, VolumeDriver, VolumesFrom, ConsoleSize, Annotations, CgroupnsMode, Dns,
	DnsSearch, ExtraHosts, GroupAdd, IpcMode, Cgroup, Links, OomScoreAdj, PidMode, Privileged, PublishAllPorts, StorageOpt,
	Tmpfs, UTSMode, UsernsMode, ShmSize, Runtime, Umask, Isolation, CpuShares, CgroupParent, BlkioWeight,
	BlkioWeightDevice, BlkioDeviceReadBps, BlkioDeviceWriteBps, BlkioDeviceReadIOps, BlkioDeviceWriteIOps, CpuPeriod,
	CpuQuota, CpuRealtimePeriod, CpuRealtimeRuntime, CpusetCpus, CpusetMems, Devices, DeviceCgroupRules, DeviceRequests,
	KernelMemory, KernelMemoryTCP, MemoryReservation, MemorySwap, MemorySwappiness, OomKillDisable, Ulimits, CpuCount,
	CpuPercent, IOMaximumIOps, IOMaximumBandwidth, MaskedPaths, ReadonlyPaths, Capabilities Zero `json:",omitzero"`
}

// NetworkMode is none, or a network's whole id.
type NetworkMode string

func (m NetworkMode) check() error {
	if m == "none" {
		return nil
	}
	if !swarmForm.MatchString(string(m)) {
		return refuse(NotAnID, "the network mode %.60q is neither none nor a network's whole id", string(m))
	}
	return nil
}

// RestartPlain is a plain container's restart policy.
type RestartPlain struct {
	Name              RestartName `json:",omitzero"`
	MaximumRetryCount int64       `json:",omitzero"`
}

// RestartName is no, always, on-failure or unless-stopped.
type RestartName string

func (n RestartName) check() error {
	switch n {
	case "no", "always", "on-failure", "unless-stopped":
		return nil
	}
	return refuse(BadValue, "%.20q is not a restart policy", string(n))
}

// DNSOption makes the resolver ask for names with a dot in them as they are,
// and for nothing else.
type DNSOption string

func (o DNSOption) check() error {
	if o != "ndots:1" {
		return refuse(ForbiddenField, "the DNS option %.60q must not be set", string(o))
	}
	return nil
}

// SecurityOpt only ever takes rights away.
type SecurityOpt string

func (o SecurityOpt) check() error {
	if o != "no-new-privileges" && o != "no-new-privileges:true" {
		return refuse(ForbiddenField, "the security option %.60q must not be set", string(o))
	}
	return nil
}

// LogConfig is how the engine keeps output.
type LogConfig struct {
	Type   string            `json:",omitzero"`
	Config map[string]string `json:",omitzero"`
}

// Networking is the networks of a new container.
type Networking struct {
	EndpointsConfig map[SwarmID]*Endpoint `json:",omitzero"`
}

// ContainerList lists Havre's containers.
type ContainerList struct {
	All     bool    `query:"all"`
	Limit   int64   `query:"limit"`
	Size    Zero    `query:"size"`
	Filters Filters `query:"filters"`
}

// ContainerInspect shows one container of Havre's.
type ContainerInspect struct {
	ID   ContainerID `path:"ID"`
	Size Zero        `query:"size"`
}

// ContainerStart starts one container of Havre's.
type ContainerStart struct {
	ID ContainerID `path:"ID"`
}

// ContainerStop stops one container of Havre's.
type ContainerStop struct {
	ID      ContainerID `path:"ID"`
	Timeout *int64      `query:"t"`
}

// ContainerRemove removes one container of Havre's.
type ContainerRemove struct {
	ID      ContainerID `path:"ID"`
	Volumes bool        `query:"v"`
	Force   bool        `query:"force"`
	Link    Zero        `query:"link"`
}

// ContainerLogs reads what one container of Havre's wrote.
type ContainerLogs struct {
	ID         ContainerID `path:"ID"`
	Stdout     bool        `query:"stdout"`
	Stderr     bool        `query:"stderr"`
	Since      Moment      `query:"since"`
	Until      Moment      `query:"until"`
	Timestamps bool        `query:"timestamps"`
	Follow     bool        `query:"follow"`
	Tail       Tail        `query:"tail"`
	Details    Zero        `query:"details"`
}

// ContainerStats reads what one container of Havre's uses, once.
type ContainerStats struct {
	ID      ContainerID `path:"ID"`
	Stream  Once        `query:"stream"`
	OneShot bool        `query:"one-shot"`
}

// Once is a no that has to be said: left out, the engine would go on for ever.
type Once string

func (o Once) check() error {
	if o != "0" && o != "false" {
		return refuse(BadValue, "%.20q would make a stream of it", string(o))
	}
	return nil
}

// Tail is a number of lines, or all.
type Tail string

var tailForm = pattern.New(`^(all|0|[1-9][0-9]{0,8})$`)

func (t Tail) check() error { return form(tailForm, string(t), "a number of lines") }

// Kind is the call's kind.
func (ContainerCreate) Kind() Kind  { return ContainerCreateKind }
func (ContainerList) Kind() Kind    { return ContainerListKind }
func (ContainerInspect) Kind() Kind { return ContainerInspectKind }
func (ContainerStart) Kind() Kind   { return ContainerStartKind }
func (ContainerStop) Kind() Kind    { return ContainerStopKind }
func (ContainerRemove) Kind() Kind  { return ContainerRemoveKind }
func (ContainerLogs) Kind() Kind    { return ContainerLogsKind }
func (ContainerStats) Kind() Kind   { return ContainerStatsKind }
