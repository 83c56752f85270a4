// Package policy decides which Docker calls a caller may make. It looks
// nothing up: what there is to know about the engine's objects comes as
// facts, so that each judgement is a pure function and a table of them is
// the whole policy.
package policy

import (
	"net/netip"

	"havre/internal/dockercall"
)

// Role is what a caller is to the guard. The zero Role is nobody.
type Role int

// The roles.
const (
	Nobody Role = iota
	Server      // Havre's server; may be broken into
	Root        // root of the machine, who could do anything without the guard
)

// Caller is who makes a call.
type Caller struct {
	Role Role
	UID  uint32
	PID  int32
}

// Bounds are what no caller can widen. The zero Bounds allow nothing that
// runs.
type Bounds struct {
	Volumes      string                  // the directory of volumes; below it <environment>/<project>/<name>
	ReadOnly     string                  // the same directory, mounted so that nothing in it can be changed; "" leaves that to the engine
	Portals      string                  // the directory of portals' sockets; below it <environment>
	PortalUser   uint32                  // the user that a portal runs as
	PortalGroup  uint32                  // the group that a portal runs as
	Pool         netip.Prefix            // networks are cut from it
	Capabilities []dockercall.Capability // what may be added beyond the engine's defaults
	Replicas     uint64                  // most tasks of a service
	Pids         int64                   // most processes of a container, and what one gets that asks for none
	Memory       int64                   // most bytes of memory of a container; 0 leaves it to the machine
	LogSize      string                  // of one log file, for who asks for none
	LogFiles     string                  // number of log files, for who asks for none
}

// Object is something in the engine, as far as judging needs it.
type Object struct {
	Exists bool
	Name   string
	Labels map[string]string
}

// Image is an image in the engine.
type Image struct {
	Exists  bool
	ID      dockercall.ImageID
	Refs    []dockercall.Ref // its names in havre.invalid
	Labels  map[string]string
	OnBuild []string
	Foreign bool     // it has names outside havre.invalid too
	Volumes []string // where the engine makes a volume of its own, unless something is mounted there
	Dir     string   // where its processes start; "" is /
}

// Facts are what the guard looked up about the objects a call mentions.
type Facts struct {
	Instance  string                              // this Havre's id
	Target    Object                              // what the call acts on; for an exec, its container
	Container Object                              // the container that is to be attached
	Image     Image                               // the image the call mentions
	Resolved  map[dockercall.Path]dockercall.Path // where paths that the call mentions lead in the image, its links followed
	Portal    dockercall.ImageID                  // the portal's image
	Networks  map[dockercall.SwarmID]Object
	Subnets   []netip.Prefix // of every network that the engine has, also of others' networks
	Configs   map[dockercall.SwarmID]Object
	MountedAt []string // where containers have the volume that the call is about
	Secrets   map[dockercall.SwarmID]Object
}

// question is all that a judgement may look at.
type question struct {
	caller Caller
	bounds Bounds
	facts  Facts
}

// judgement gives the call as it may be made: with the labels, limits and
// dropped capabilities that the guard adds. The call it was given is spent.
type judgement func(question, dockercall.Call) (dockercall.Call, error)

// on makes a judgement of one for a concrete type.
func on[T dockercall.Call](judge func(question, T) (dockercall.Call, error)) judgement {
	return func(q question, c dockercall.Call) (dockercall.Call, error) {
		t, ok := c.(T)
		if !ok {
			return nil, refuse(NotJudged, "%s has an unexpected form", c.Kind())
		}
		return judge(q, t)
	}
}

// judgements is the policy. A kind that is not here is refused.
var judgements = map[dockercall.Kind]judgement{
	dockercall.PingKind:    harmless,
	dockercall.VersionKind: harmless,
	dockercall.InfoKind:    harmless,
	dockercall.EventsKind:  on(events),

	dockercall.NetworkCreateKind:     on(networkCreate),
	dockercall.NetworkListKind:       on(networkList),
	dockercall.NetworkInspectKind:    ours("network"),
	dockercall.NetworkRemoveKind:     ours("network"),
	dockercall.NetworkConnectKind:    on(networkConnect),
	dockercall.NetworkDisconnectKind: on(networkDisconnect),

	dockercall.ServiceCreateKind:  on(serviceCreate),
	dockercall.ServiceListKind:    on(serviceList),
	dockercall.ServiceInspectKind: ours("service"),
	dockercall.ServiceUpdateKind:  on(serviceUpdate),
	dockercall.ServiceRemoveKind:  ours("service"),
	dockercall.TaskListKind:       on(taskList),

	dockercall.ContainerCreateKind:  on(containerCreate),
	dockercall.ContainerListKind:    on(containerList),
	dockercall.ContainerInspectKind: ours("container"),
	dockercall.ContainerStartKind:   startable,
	dockercall.ContainerStopKind:    ours("container"),
	dockercall.ContainerRemoveKind:  removable,
	dockercall.ContainerLogsKind:    ours("container"),
	dockercall.ContainerStatsKind:   on(containerStats),

	dockercall.ContainerPathKind: copyable,
	dockercall.ContainerGetKind:  copyable,
	dockercall.ContainerPutKind:  copyable,

	dockercall.ExecCreateKind:  on(execCreate),
	dockercall.ExecStartKind:   executable,
	dockercall.ExecResizeKind:  executable,
	dockercall.ExecInspectKind: executable,

	dockercall.ImageListKind:    harmless, // the answer is cut to the environments' names
	dockercall.ImageInspectKind: ourImage,
	dockercall.ImageLoadKind:    on(imageLoad),
	dockercall.ImageBuildKind:   on(imageBuild),
	dockercall.ImageTagKind:     on(imageTag),
	dockercall.ImagePullKind:    on(imagePull),
	dockercall.ImageRemoveKind:  on(imageRemove),

	dockercall.ConfigCreateKind: on(configCreate),
	dockercall.ConfigListKind:   on(configList),
	dockercall.ConfigRemoveKind: ours("config"),

	dockercall.SecretCreateKind: on(secretCreate),
	dockercall.SecretListKind:   on(secretList),
	dockercall.SecretRemoveKind: ours("secret"),

	dockercall.SwarmKind:        harmless, // only ever makes a swarm where there is none
	dockercall.VolumeEnsureKind: on(volumeEnsure),
	dockercall.VolumeListKind:   harmless, // names only
	dockercall.VolumeSettleKind: on(volumeSettle),
	dockercall.VolumeUsageKind:  on(volumeUsage),
	dockercall.VolumeCleanKind:  on(volumeClean),
	dockercall.ConventionsKind:  on(conventions),
	dockercall.HolderKind:       harmless, // a process's name and number
	dockercall.VolumeRemoveKind: on(volumeRemove),
	dockercall.PortalKind:       on(portal),
	dockercall.FirewallKind:     on(firewall),
	dockercall.PurgeKind:        on(purge),

	dockercall.ForeignListKind:   on(foreignList),
	dockercall.ForeignTagKind:    on(foreignTag),
	dockercall.ForeignSwitchKind: on(foreignSwitch),
	dockercall.ForeignDataKind:   on(foreignData),
	dockercall.ForeignRemoveKind: on(foreignRemove),
}

// Judge gives the call as the caller may make it, or the rule that refuses.
//
// Errors: Denied with the rule; NotFound when the object is not there.
func Judge(c Caller, b Bounds, f Facts, call dockercall.Call) (dockercall.Call, error) {
	if c.Role != Server && c.Role != Root {
		return nil, refuse(CallerUnknown, "user %d is nobody the guard works for", c.UID)
	}
	judge, ok := judgements[call.Kind()]
	if !ok {
		return nil, refuse(NotJudged, "%s is judged by nobody", call.Kind())
	}
	if f.Instance == "" {
		return nil, refuse(NotJudged, "the guard does not know its own id")
	}
	return judge(question{c, b, f}, call)
}

// Judged tells whether kind k has a judgement.
func Judged(k dockercall.Kind) bool { return judgements[k] != nil }

// harmless allows a call that changes nothing and whose answer is cut.
func harmless(_ question, c dockercall.Call) (dockercall.Call, error) { return c, nil }

// Owned tells whether labels were written by the guard of this instance.
func Owned(instance string, labels map[string]string) bool {
	return instance != "" && labels[dockercall.InstanceLabel] == instance
}

// mustBeOurs refuses what is not there or was made by somebody else.
func mustBeOurs(q question, o Object, what string) error {
	if !o.Exists {
		return missing(what)
	}
	if !Owned(q.facts.Instance, o.Labels) {
		return refuse(ForeignObject, "this %s is not Havre's", what)
	}
	return nil
}

// ours allows a call whose target is Havre's.
func ours(what string) judgement {
	return func(q question, c dockercall.Call) (dockercall.Call, error) {
		return c, mustBeOurs(q, q.facts.Target, what)
	}
}
