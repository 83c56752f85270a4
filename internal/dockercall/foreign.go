package dockercall

// The kinds of the calls that import makes: about containers and swarm
// services of others, for root alone.
const (
	ForeignListKind   Kind = "ForeignList"
	ForeignTagKind    Kind = "ForeignTag"
	ForeignSwitchKind Kind = "ForeignSwitch"
	ForeignDataKind   Kind = "ForeignData"
	ForeignRemoveKind Kind = "ForeignRemove"
)

// The paths of the calls that import makes.
const (
	ForeignListPath   = own + "foreign"
	ForeignTagPath    = own + "foreign/tag"
	ForeignSwitchPath = own + "foreign/switch"
	ForeignDataPath   = own + "foreign/data"
	ForeignRemovePath = own + "foreign/rm"
)

// ForeignList shows what others made. Exactly one field is set.
type ForeignList struct {
	Containers []Word `json:"containers"` // names
	Compose    Word   `json:"compose"`    // a project that docker compose started
	Stack      Word   `json:"stack"`      // a stack that docker stack deployed
}

// ForeignTag gives an image of others a name in an environment.
type ForeignTag struct {
	Image ImageID `json:"image"`
	As    Ref     `json:"as"`
}

// ForeignSwitch stops a container or swarm service of others and keeps it from
// starting by itself, or lets it run again as it did. Exactly one id is set.
type ForeignSwitch struct {
	Container ContainerID `json:"container"`
	Service   SwarmID     `json:"service"`
	On        bool        `json:"on"`
}

// ForeignData moves data of others into a volume, or back. Exactly one of
// From and Path is set. It may be called again after any crash.
type ForeignData struct {
	From        VolumeName  `json:"from"` // one of the engine's own volumes
	Path        Path        `json:"path"` // a directory of the machine
	Environment Environment `json:"environment"`
	Project     ProjectID   `json:"project"`
	Name        VolumeName  `json:"name"`
	Back        bool        `json:"back"`
}

// ForeignDataAnswer answers ForeignData.
type ForeignDataAnswer struct {
	How string `json:"how"` // renamed, copied, or nothing when it was so already
}

// ForeignRemove removes a container or swarm service that ForeignSwitch
// stopped, or an engine's volume that ForeignData emptied. Exactly one is set.
type ForeignRemove struct {
	Container ContainerID `json:"container"`
	Service   SwarmID     `json:"service"`
	Volume    VolumeName  `json:"volume"`
}

// Kind is the call's kind.
func (ForeignList) Kind() Kind   { return ForeignListKind }
func (ForeignTag) Kind() Kind    { return ForeignTagKind }
func (ForeignSwitch) Kind() Kind { return ForeignSwitchKind }
func (ForeignData) Kind() Kind   { return ForeignDataKind }
func (ForeignRemove) Kind() Kind { return ForeignRemoveKind }

// Foreign answers ForeignList, in the engine's own words (API 1.41), cut to
// what importing looks at.
type Foreign struct {
	Containers []ForeignContainer
	Services   []ForeignService
	Images     map[ImageID]ForeignImage
	Configs    map[SwarmID][]byte // content of the services' configs
}

// ForeignImage is what an image gives to its containers.
type ForeignImage struct {
	RepoTags []string
	Config   ForeignConfig
}

// ForeignConfig is what a container runs.
type ForeignConfig struct {
	Image, User, WorkingDir, Hostname, StopSignal string
	Env, Cmd, Entrypoint                          []string
	Tty, OpenStdin                                bool
	Labels                                        map[string]string
	ExposedPorts                                  map[string]struct{}
	StopTimeout                                   *int
	Healthcheck                                   *ForeignHealth
}

// ForeignHealth is a health check; times in nanoseconds.
type ForeignHealth struct {
	Test                           []string
	Interval, Timeout, StartPeriod int64
	Retries                        int
}

// ForeignMount is what is mounted where.
type ForeignMount struct {
	Type, Name, Source, Destination string
	RW                              bool
}

// ForeignContainer is a container of others.
type ForeignContainer struct {
	ID              ContainerID `json:"Id"`
	Name            string
	Image           ImageID
	Config          ForeignConfig
	Mounts          []ForeignMount
	State           struct{ Running bool }
	HostConfig      ForeignHost
	NetworkSettings struct {
		Networks map[string]struct{ Aliases []string }
	}
}

// ForeignHost is what a container is given of the machine.
type ForeignHost struct {
	NetworkMode, PidMode, IpcMode, UTSMode, UsernsMode                string
	Privileged, ReadonlyRootfs                                        bool
	Init                                                              *bool
	CapAdd, CapDrop, SecurityOpt, GroupAdd, ExtraHosts                []string
	Dns, DnsSearch, DnsOptions                                        []string
	Sysctls, Tmpfs                                                    map[string]string
	Memory, MemoryReservation, NanoCpus, CpuPeriod, CpuQuota, ShmSize int64
	PidsLimit                                                         *int64
	Devices                                                           []struct{ PathOnHost string }
	Ulimits                                                           []ForeignUlimit
	PortBindings                                                      map[string][]ForeignBinding
	RestartPolicy                                                     ForeignRestart
	LogConfig                                                         struct{ Config map[string]string }
}

// ForeignUlimit is a limit of a container's processes.
type ForeignUlimit struct {
	Name       string
	Soft, Hard int64
}

// ForeignBinding is where a port is published.
type ForeignBinding struct{ HostIp, HostPort string }

// ForeignRestart is when a container is started again.
type ForeignRestart struct {
	Name              string
	MaximumRetryCount int
}

// ForeignService is a swarm service of others.
type ForeignService struct {
	ID    SwarmID
	Image ImageID // of the machine, by the name in Spec
	Spec  ForeignSpec
}

// ForeignSpec is what a swarm service should run.
type ForeignSpec struct {
	Name         string
	Labels       map[string]string
	TaskTemplate struct {
		ContainerSpec ForeignTask
		Resources     *struct{ Limits, Reservations *ForeignAmounts }
		RestartPolicy *struct {
			Condition   string
			MaxAttempts *uint64
		}
	}
	Mode struct {
		Replicated *struct{ Replicas *uint64 }
		Global     *struct{}
	}
	UpdateConfig *struct{ Order string } // nil where nothing was said of updates
	EndpointSpec *struct {
		Ports []struct {
			Protocol                  string
			TargetPort, PublishedPort uint32
		}
	}
}

// ForeignAmounts are amounts of a machine.
type ForeignAmounts struct{ NanoCPUs, MemoryBytes, Pids int64 }

// ForeignTask is the container of a swarm service.
type ForeignTask struct {
	Image, Dir, User, Hostname, StopSignal string
	Command, Args, Env, Groups, Hosts      []string
	CapabilityAdd, CapabilityDrop          []string
	TTY, OpenStdin, ReadOnly               bool
	Init                                   *bool
	Labels, Sysctls                        map[string]string
	StopGracePeriod                        *int64
	Healthcheck                            *ForeignHealth
	DNSConfig                              *struct{ Nameservers, Search, Options []string }
	Ulimits                                []ForeignUlimit
	Mounts                                 []struct {
		Type, Source, Target string
		ReadOnly             bool
		TmpfsOptions         *struct{ SizeBytes int64 }
	}
	Secrets []struct{ SecretName string }
	Configs []struct {
		ConfigID   SwarmID
		ConfigName string
		File       *struct {
			Name string
			Mode uint32
		}
	}
}
