package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"havre/internal/dockercall"
)

// containerCreate allows two sorts of plain containers.
func containerCreate(q question, c *dockercall.ContainerCreate) (dockercall.Call, error) {
	if c.Spec.HostConfig == nil {
		return nil, refuse(NetworkMissing, "a container states its network")
	}
	host := *c.Spec.HostConfig
	c.Spec.HostConfig = &host
	switch c.Spec.Labels[dockercall.KindLabel] {
	case PortalKind:
		return createPortal(q, c)
	case CarrierKind:
		return createCarrier(q, c)
	}
	return nil, refuse(LabelMismatch, "a plain container is a portal or a carrier; services and hooks are made as services")
}

// createCarrier allows a container that is never started: with a service's
// image and volumes, it is the way to files in them.
func createCarrier(q question, c *dockercall.ContainerCreate) (dockercall.Call, error) {
	var err error
	s, host := &c.Spec, c.Spec.HostConfig
	if s.Labels, err = stamped(q, s.Labels, CarrierKind); err != nil {
		return nil, err
	}
	if err := agree(s.Labels, carrierName, c.Name, dockercall.ProjectLabel, dockercall.ServiceLabel); err != nil {
		return nil, err
	}
	p := placeOf(s.Labels)
	if err := judgeImage(q, p, s.Image); err != nil {
		return nil, err
	}
	if host.Mounts, err = judgeMounts(q, p, host.Mounts); err != nil {
		return nil, err
	}
	if err := judgePlaces(q, host.Mounts, nil); err != nil {
		return nil, err
	}
	if host.NetworkMode != "none" || s.NetworkingConfig != nil {
		return nil, refuse(NetworkKind, "a carrier is on no network: its mode is none")
	}
	if err := judgeIdle(s); err != nil {
		return nil, err
	}
	if _, host.CapDrop, err = judgeCapabilities(q, nil, host.CapDrop); err != nil {
		return nil, err
	}
	return c, judgeHostAmounts(q, host)
}

// judgeIdle refuses what only a container that runs would need.
func judgeIdle(s *dockercall.ContainerBody) error {
	host := s.HostConfig
	switch {
	case len(host.CapAdd) > 0:
		return refuse(CapabilityRule, "a carrier never runs, and needs no capabilities")
	case host.RestartPolicy.Name != "" && host.RestartPolicy.Name != "no":
		return refuse(RestartPolicy, "a carrier is never started")
	case len(host.Sysctls) > 0:
		return refuse(SysctlRule, "a carrier makes no kernel settings")
	case !slices.Equal(s.Entrypoint, []dockercall.Word{dockercall.NeverStarted}) || s.Cmd != nil || s.Healthcheck != nil || s.WorkingDir != "":
		return refuse(SomebodysObject, "a carrier's entry point is %s, and it has no command, check or directory", dockercall.NeverStarted)
	}
	return nil
}

func judgeHostAmounts(q question, host *dockercall.HostConfig) error {
	var asked int64
	if host.PidsLimit != nil {
		asked = *host.PidsLimit
	}
	pids, err := judgeAmounts(q, asked, host.Memory, host.NanoCpus)
	if err != nil {
		return err
	}
	host.PidsLimit = &pids
	if host.LogConfig.Type == "" && len(host.LogConfig.Config) == 0 {
		host.LogConfig.Type = "local"
	}
	options, err := logOptions(q, host.LogConfig.Type, host.LogConfig.Config)
	host.LogConfig = dockercall.LogConfig{Type: "local", Config: options}
	return err
}

// createPortal allows one shape only: the portal is on all networks of its
// environment, so nothing but our own program may run in its place.
func createPortal(q question, c *dockercall.ContainerCreate) (dockercall.Call, error) {
	labels, err := stamped(q, c.Spec.Labels, PortalKind)
	if err != nil {
		return nil, err
	}
	env := labels[dockercall.EnvironmentLabel]
	generation, ok := strings.CutPrefix(string(c.Name), "h-portal-"+env+".")
	if _, err := strconv.ParseUint(generation, 10, 31); !ok || err != nil {
		return nil, refuse(NameMismatch, "the portal of %s is named h-portal-%s.NUMBER", env, env)
	}
	if q.facts.Portal == "" || c.Spec.Image != q.facts.Portal {
		return nil, refuse(ImageOfPortal, "this is not the portal's image")
	}
	c.Spec.Labels = labels
	if err := judgePortalProcess(q, c.Spec); err != nil {
		return nil, err
	}
	if err := judgePortalHost(q, env, c.Spec.HostConfig); err != nil {
		return nil, err
	}
	if err := judgePortalNetwork(q, env, c.Spec); err != nil {
		return nil, err
	}
	return c, judgeHostAmounts(q, c.Spec.HostConfig)
}

// PortalAs is as whom portals run: a user of their own, in the ingress's group.
func (b Bounds) PortalAs() dockercall.User {
	return dockercall.User(fmt.Sprintf("%d:%d", b.PortalUser, b.PortalGroup))
}

func judgePortalProcess(q question, s dockercall.ContainerBody) error {
	user := q.bounds.PortalAs()
	if s.User != user || q.bounds.PortalUser == 0 || q.bounds.PortalGroup == 0 {
		return refuse(PortalShape, "a portal runs as %s", user)
	}
	if s.Entrypoint != nil || s.Cmd != nil || s.Env != nil || s.Hostname != "" || s.WorkingDir != "" || s.Healthcheck != nil || s.Tty {
		return refuse(PortalShape, "a portal runs what its image says, with no arguments and no variables")
	}
	return nil
}

// portalSysctls let a portal connect to one container more than 28,000 times
// a minute where clients are the first to close, and forward nothing: a portal
// is on the networks of all projects, and they must not reach each other by it.
var portalSysctls = dockercall.Sysctls{"net.ipv4.ip_forward": "0", "net.ipv4.ip_local_port_range": "1024 65000", "net.ipv4.tcp_tw_reuse": "1"}

func judgePortalHost(q question, env string, h *dockercall.HostConfig) error {
	bind := dockercall.Mount{Type: dockercall.BindMount, Source: q.bounds.Portals + "/" + env, Target: "/portal"}
	if q.bounds.Portals == "" || !slices.Equal(h.Mounts, []dockercall.Mount{bind}) {
		return refuse(PortalShape, "a portal mounts its environment's directory at /portal, and nothing else")
	}
	tight := h.ReadonlyRootfs && len(h.SecurityOpt) > 0 && len(h.CapAdd) == 0 && slices.Equal(h.CapDrop, []dockercall.Capability{"ALL"})
	if !tight {
		return refuse(PortalShape, "a portal has a read-only root, no capabilities and no-new-privileges")
	}
	// Without it the engine asks the machine's name servers for ids it does not
	// know, and an answer from outside would be believed.
	if !slices.Equal(h.DnsOptions, []dockercall.DNSOption{"ndots:1"}) {
		return refuse(PortalShape, "a portal asks the engine for ids with the DNS option ndots:1")
	}
	if !maps.Equal(h.Sysctls, portalSysctls) {
		return refuse(PortalShape, "a portal makes the kernel settings that give it source ports and let it forward nothing, and no others")
	}
	if h.RestartPolicy != (dockercall.RestartPlain{Name: "on-failure"}) {
		return refuse(RestartPolicy, "a portal is started again after a failure only: one that was replaced stays ended")
	}
	if h.Memory < 8<<20 || h.Memory > 256<<20 || h.AutoRemove {
		return refuse(PortalShape, "a portal has from 8 to 256 MiB of memory and stays when it ends")
	}
	return nil
}

func judgePortalNetwork(q question, env string, s dockercall.ContainerBody) error {
	mode := s.HostConfig.NetworkMode
	if mode == "" || mode == "none" {
		return refuse(NetworkMissing, "a portal starts on a network of its environment")
	}
	o := q.facts.Networks[dockercall.SwarmID(mode)]
	if err := mustBeOurs(q, o, "network"); err != nil {
		return err
	}
	if o.Labels[dockercall.KindLabel] != NetKind {
		return refuse(NetworkKind, "a portal joins projects' networks only")
	}
	if placeOf(o.Labels).environment != env {
		return refuse(OtherProject, "the network is of another environment than the portal")
	}
	if s.NetworkingConfig == nil {
		return nil
	}
	for id, e := range s.NetworkingConfig.EndpointsConfig {
		if string(id) != string(mode) || e != nil && len(e.Aliases) > 0 {
			return refuse(PortalShape, "a portal has no names on a network")
		}
	}
	return nil
}

// startable allows portals to start. What the swarm made it starts by itself,
// once: started again, a container has the links that it left in its own file
// system, and a mount that was judged before would follow them.
func startable(q question, c dockercall.Call) (dockercall.Call, error) {
	if err := mustBeOurs(q, q.facts.Target, "container"); err != nil {
		return nil, err
	}
	if q.facts.Target.Labels[dockercall.KindLabel] != PortalKind {
		return nil, refuse(SomebodysObject, "only portals are started; the swarm starts what it made")
	}
	return c, nil
}

// removable keeps what the guard made to look into an image: what is gone
// would look as if the image had nothing there.
func removable(q question, c dockercall.Call) (dockercall.Call, error) {
	if err := mustBeOurs(q, q.facts.Target, "container"); err != nil {
		return nil, err
	}
	if q.facts.Target.Labels[dockercall.KindLabel] == SeedKind {
		return nil, refuse(SomebodysObject, "this container is the guard's own")
	}
	return c, nil
}

// execCreate allows a command where commands may run, in a directory of the
// container's own.
func execCreate(q question, c *dockercall.ExecCreate) (dockercall.Call, error) {
	if ofKernel(c.Spec.WorkingDir) {
		return nil, refuse(WorkingDir, "no command starts in %s", c.Spec.WorkingDir)
	}
	return executable(q, c)
}

// executable allows commands in containers of a service's shape; a portal
// sees a whole environment.
func executable(q question, c dockercall.Call) (dockercall.Call, error) {
	if err := mustBeOurs(q, q.facts.Target, "container"); err != nil {
		return nil, err
	}
	switch q.facts.Target.Labels[dockercall.KindLabel] {
	case ServiceKind, HookKind:
		return c, nil
	}
	return nil, refuse(ExecKind, "commands are run in containers of services only")
}

// copyable allows to copy files from and to containers of a service's shape.
// The guard's own and portals are none of the caller's.
func copyable(q question, c dockercall.Call) (dockercall.Call, error) {
	if err := mustBeOurs(q, q.facts.Target, "container"); err != nil {
		return nil, err
	}
	switch q.facts.Target.Labels[dockercall.KindLabel] {
	case ServiceKind, CarrierKind, HookKind:
		return c, nil
	}
	return nil, refuse(SomebodysObject, "files are copied from and to containers of services only")
}

// containerStats are read once: a stream would bind the engine to a caller
// that does not read.
func containerStats(q question, c *dockercall.ContainerStats) (dockercall.Call, error) {
	c.Stream = "0"
	return c, mustBeOurs(q, q.facts.Target, "container")
}
