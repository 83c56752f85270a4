package policy

import (
	"fmt"

	"havre/internal/dockercall"
	"havre/internal/problem"
)

// The rules that decide whether a call that was understood may be made.
const (
	CallerUnknown   dockercall.Rule = "caller-unknown"  // nobody the bounds name
	RootOnly        dockercall.Rule = "root-only"       // a call that only root may make
	NotJudged       dockercall.Rule = "not-judged"      // a kind without a judgement
	ForeignObject   dockercall.Rule = "foreign-object"  // made by somebody else
	OtherProject    dockercall.Rule = "other-project"   // Havre's, but of another project or environment
	LabelMismatch   dockercall.Rule = "label-mismatch"  // labels that disagree with the name, or with each other
	LabelInstance   dockercall.Rule = "label-instance"  // a label of another Havre
	ImageNotOurs    dockercall.Rule = "image-not-ours"  // not an image of the environment
	ImageLabels     dockercall.Rule = "image-labels"    // an image that carries reserved labels
	ImageOnBuild    dockercall.Rule = "image-onbuild"   // an image that adds instructions to builds
	ImageOfPortal   dockercall.Rule = "image-of-portal" // the portal's image is the guard's
	MountSource     dockercall.Rule = "mount-source"    // not a volume's top directory of the same project
	MountTarget     dockercall.Rule = "mount-target"    // over the container's own /proc, /sys, /dev
	MountLink       dockercall.Rule = "mount-link"      // over a link of the image
	MountBelow      dockercall.Rule = "mount-below"     // below another mount, where a link may lead elsewhere
	ImageVolume     dockercall.Rule = "image-volume"    // an image's volume that the engine would make by itself
	WorkingDir      dockercall.Rule = "working-dir"     // a process that would start in /proc, /sys or /dev
	CapabilityRule  dockercall.Rule = "capability"      // more rights than the bounds give
	SysctlRule      dockercall.Rule = "sysctl"          // a kernel setting that is not each container's own
	UlimitRule      dockercall.Rule = "ulimit"          // a limit that concerns others, or past the kernel's own
	LookupAddress   dockercall.Rule = "lookup-address"  // a name or DNS server in the networks' pool, or on loopback
	NetworkDriver   dockercall.Rule = "network-driver"  // not an attachable overlay of the swarm
	NetworkSubnet   dockercall.Rule = "network-subnet"  // outside the pool, or of an unfit size
	NetworkTaken    dockercall.Rule = "network-taken"   // addresses that another network of the engine has
	NetworkMissing  dockercall.Rule = "network-missing" // a service without a network, or one twice
	NetworkKind     dockercall.Rule = "network-kind"    // only a portal is attached while it runs
	LinkName        dockercall.Rule = "link-name"       // a name on a link network for who is not its target
	EndpointMode    dockercall.Rule = "endpoint-mode"   // not dnsrr
	LogDriverRule   dockercall.Rule = "log-driver"      // not local, or unbounded
	Amount          dockercall.Rule = "amount"          // past a bound: replicas, processes, memory, time
	PortalShape     dockercall.Rule = "portal-shape"    // a portal that is not exactly as portals are
	RestartPolicy   dockercall.Rule = "restart-policy"  // what would come back by itself, and must not
	ExecKind        dockercall.Rule = "exec-kind"       // a command in a container that is not a service's
	BuildOption     dockercall.Rule = "build-option"    // not the classic builder's plain way
	VolumeInUse     dockercall.Rule = "volume-in-use"   // removed under somebody's feet
	PortReserved    dockercall.Rule = "port-reserved"   // a port that must not be closed to containers
	NameMismatch    dockercall.Rule = "name-mismatch"   // a name that is not as its kind's names are
	SomebodysObject dockercall.Rule = "object-kind"     // Havre's, but of a kind that this call does not touch
)

// Rules is every rule of this package.
var Rules = []dockercall.Rule{CallerUnknown, RootOnly, NotJudged, ForeignObject, OtherProject, LabelMismatch, LabelInstance,
	ImageNotOurs, ImageLabels, ImageOnBuild, ImageOfPortal, MountSource, MountTarget, MountLink, MountBelow, ImageVolume, WorkingDir, CapabilityRule, SysctlRule, UlimitRule, LookupAddress, NetworkDriver,
	NetworkSubnet, NetworkTaken, NetworkMissing, NetworkKind, LinkName, EndpointMode, LogDriverRule, Amount, PortalShape, RestartPolicy, ExecKind,
	BuildOption, VolumeInUse, PortReserved, NameMismatch, SomebodysObject}

// refuse makes the error of a call that may not be made.
func refuse(rule dockercall.Rule, format string, args ...any) error {
	return &problem.Problem{Kind: problem.Denied, Says: fmt.Sprintf(format, args...), Rule: string(rule)}
}

// missing is the error of a call about something that is not there.
func missing(what string) error {
	return problem.New(problem.NotFound, "no such %s", what)
}
