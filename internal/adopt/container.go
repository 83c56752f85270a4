package adopt

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"havre/internal/dockercall"
	"havre/internal/spec"
)

const composeLabel = "com.docker.compose."

func (m *maker) containers() {
	all := slices.Clone(m.foreign.Containers)
	slices.SortFunc(all, func(a, b dockercall.ForeignContainer) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range all {
		name := strings.TrimPrefix(c.Name, "/")
		m.Objects = append(m.Objects, Object{Name: name, Container: c.ID})
		if service := c.Config.Labels[composeLabel+"service"]; service != "" {
			name = service
			if c.Config.Labels[composeLabel+"oneoff"] == "True" {
				m.lose("%s: a container of docker compose run is only removed", strings.TrimPrefix(c.Name, "/"))
				continue
			}
		}
		if i := slices.IndexFunc(m.Project.Services, func(s spec.Service) bool { return s.Name == name }); i >= 0 {
			m.Project.Services[i].Replicas++
			continue
		}
		m.Project.Services = append(m.Project.Services, m.container(name, c))
	}
	m.needs()
}

func (m *maker) container(name string, c dockercall.ForeignContainer) spec.Service {
	own, image := c.Config, m.foreign.Images[c.Image].Config
	s := spec.Service{
		Name: name, Image: m.image(name, own.Image, c.Image), Replicas: 1, Environment: variables(own.Env, image.Env),
		Entrypoint: words(own.Entrypoint, image.Entrypoint), Command: words(own.Cmd, image.Cmd),
		User: unless(own.User, image.User), WorkingDir: unless(own.WorkingDir, image.WorkingDir), StopSignal: unless(own.StopSignal, image.StopSignal),
		TTY: own.Tty, Stdin: own.OpenStdin, Health: m.health(name, own.Healthcheck, image.Healthcheck), Labels: m.labels(name, own.Labels, image.Labels),
		ReadOnly: c.HostConfig.ReadonlyRootfs, Init: c.HostConfig.Init != nil && *c.HostConfig.Init,
	}
	if s.Entrypoint != nil && s.Command == nil {
		s.Command = own.Cmd // with an entry point of its own the image's command is gone
	}
	if own.Hostname != string(c.ID)[:min(12, len(c.ID))] {
		s.Hostname = own.Hostname
	}
	if own.StopTimeout != nil {
		s.StopGrace = spec.Duration(time.Duration(*own.StopTimeout) * time.Second)
	}
	if !c.State.Running {
		s.Replicas = 0
		m.lose("%s: it does not run, so it is declared with no replicas", name)
	}
	m.host(&s, c)
	m.ports(&s, c)
	for _, mount := range c.Mounts {
		m.mount(&s, mount)
	}
	for target := range c.HostConfig.Tmpfs {
		s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Tmpfs, Target: target})
	}
	for _, n := range c.NetworkSettings.Networks {
		for _, alias := range n.Aliases {
			if alias != name && !strings.HasPrefix(string(c.ID), alias) && !spec.LooksLikeID(alias) && !slices.Contains(s.Aliases, alias) {
				s.Aliases = append(s.Aliases, alias)
			}
		}
	}
	if called := strings.TrimPrefix(c.Name, "/"); called != name && !slices.Contains(s.Aliases, called) && len(c.NetworkSettings.Networks) > 0 {
		s.Aliases = append(s.Aliases, called)
	}
	slices.Sort(s.Aliases)
	return s
}

func (m *maker) mount(s *spec.Service, mount dockercall.ForeignMount) {
	switch mount.Type {
	case "volume":
		s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Volume, Source: m.volume(mount.Name), Target: mount.Destination, ReadOnly: !mount.RW})
	case "bind":
		if b, ok := m.bind(s.Name, mount.Source, mount.Destination, !mount.RW); ok {
			s.Mounts = append(s.Mounts, b)
		}
	case "tmpfs":
		s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Tmpfs, Target: mount.Destination})
	default:
		m.refuse("%s: a mount of type %s at %s", s.Name, mount.Type, mount.Destination)
	}
}

// host reads what the container is given of the machine.
func (m *maker) host(s *spec.Service, c dockercall.ForeignContainer) {
	h := c.HostConfig
	if h.Privileged {
		m.refuse("%s: it is privileged, which makes it root on the machine", s.Name)
	}
	for what, mode := range map[string]string{"network": h.NetworkMode, "processes": h.PidMode, "memory": h.IpcMode, "name": h.UTSMode, "users": h.UsernsMode} {
		if mode == "host" || strings.HasPrefix(mode, "container:") {
			m.refuse("%s: it shares its %s with %s", s.Name, what, strings.Replace(mode, "host", "the machine", 1))
		}
	}
	if len(h.Devices) > 0 {
		m.refuse("%s: it uses the machine's device %s", s.Name, h.Devices[0].PathOnHost)
	}
	for _, capability := range h.CapAdd {
		m.refuse("%s: it has the capability %s", s.Name, capability)
	}
	for _, o := range h.SecurityOpt {
		m.lose("%s: security option %s", s.Name, o)
	}
	for _, capability := range h.CapDrop {
		s.CapDrop = append(s.CapDrop, strings.TrimPrefix(strings.ToUpper(capability), "CAP_"))
	}
	s.Groups = h.GroupAdd
	s.DNS = spec.DNS{Servers: h.Dns, Search: h.DnsSearch, Options: h.DnsOptions}
	s.Hosts = hosts(h.ExtraHosts)
	s.Ulimits = ulimits(h.Ulimits)
	if len(h.Sysctls) > 0 {
		s.Sysctls = h.Sysctls
	}
	s.Limits = spec.Limits{Memory: spec.Bytes(h.Memory), CPUs: float64(h.NanoCpus) / 1e9}
	s.Reserve.Memory = spec.Bytes(h.MemoryReservation)
	if h.CpuQuota > 0 {
		s.Limits.CPUs = float64(h.CpuQuota) / float64(cmp.Or(h.CpuPeriod, 100000))
	}
	if h.PidsLimit != nil && *h.PidsLimit > 0 {
		s.Limits.Pids = *h.PidsLimit
	}
	if h.ShmSize > 0 && h.ShmSize != 64<<20 {
		s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Tmpfs, Target: "/dev/shm", Size: spec.Bytes(h.ShmSize)})
	}
	switch h.RestartPolicy.Name {
	case "always", "unless-stopped":
		s.Restart.Policy = spec.Always
	case "on-failure":
		s.Restart = spec.Restart{Policy: spec.OnFailure, Attempts: h.RestartPolicy.MaximumRetryCount}
	default:
		m.lose("%s: it is started again whenever it ends; now the engine does not", s.Name)
		s.Restart.Policy = spec.Always
	}
}

func (m *maker) ports(s *spec.Service, c dockercall.ForeignContainer) {
	for inside, bindings := range c.HostConfig.PortBindings {
		number, protocol, _ := strings.Cut(inside, "/")
		internal, _ := strconv.ParseUint(number, 10, 16)
		for _, b := range bindings {
			external, _ := strconv.ParseUint(b.HostPort, 10, 16)
			p := spec.Port{Internal: uint16(internal), External: uint16(external), Protocol: spec.Protocol(protocol), Access: spec.Public}
			switch ip, err := netip.ParseAddr(b.HostIp); {
			case err == nil && ip.IsLoopback():
				p.Access = spec.Localhost
			case err == nil && !ip.IsUnspecified():
				m.lose("%s: port %s is reachable at every address, not at %s alone", s.Name, b.HostPort, ip)
			}
			if !slices.Contains(s.Ports, p) {
				s.Ports = append(s.Ports, p)
			}
		}
	}
}

// needs reads what docker compose writes down: db:service_started:false,…
func (m *maker) needs() {
	for _, c := range m.foreign.Containers {
		i := slices.IndexFunc(m.Project.Services, func(s spec.Service) bool { return s.Name == c.Config.Labels[composeLabel+"service"] })
		if i < 0 || len(m.Project.Services[i].Needs) > 0 {
			continue
		}
		for _, need := range strings.Split(c.Config.Labels[composeLabel+"depends_on"], ",") {
			parts := strings.Split(need, ":")
			if !slices.ContainsFunc(m.Project.Services, func(s spec.Service) bool { return s.Name == parts[0] && s.Replicas > 0 }) {
				continue
			}
			n := spec.Need{Service: parts[0], Condition: spec.Started}
			if len(parts) > 1 && parts[1] == "service_healthy" {
				n.Condition = spec.Healthy
			}
			m.Project.Services[i].Needs = append(m.Project.Services[i].Needs, n)
		}
		slices.SortFunc(m.Project.Services[i].Needs, func(a, b spec.Need) int { return strings.Compare(a.Service, b.Service) })
	}
}

// variables leaves out what comes from the image.
func variables(own, image []string) map[string]string {
	all := map[string]string{}
	for _, v := range own {
		if name, value, _ := strings.Cut(v, "="); !slices.Contains(image, v) && name != "" {
			all[name] = value
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func words(own, image []string) []string {
	if len(own) == 0 || slices.Equal(own, image) {
		return nil
	}
	return own
}

func unless(own, image string) string {
	if own == image {
		return ""
	}
	return own
}

// labels are the person's: not the image's, not those of the tools.
func (m *maker) labels(service string, own, image map[string]string) map[string]string {
	kept := maps.Clone(own)
	maps.DeleteFunc(kept, func(name, value string) bool {
		given, same := image[name]
		return same && given == value || strings.HasPrefix(name, "com.docker.") || strings.HasPrefix(name, "havre.")
	})
	if len(kept) == 0 {
		return nil
	}
	return kept
}

func (m *maker) health(service string, own, image *dockercall.ForeignHealth) *spec.Health {
	if own == nil || image != nil && slices.Equal(own.Test, image.Test) && own.Interval == image.Interval && own.Retries == image.Retries {
		return nil
	}
	return &spec.Health{
		Test: own.Test, Interval: spec.Duration(own.Interval), Timeout: spec.Duration(own.Timeout),
		Start: spec.Duration(own.StartPeriod), Retries: own.Retries,
	}
}

func ulimits(given []dockercall.ForeignUlimit) []spec.Ulimit {
	var all []spec.Ulimit
	for _, u := range given {
		all = append(all, spec.Ulimit(u))
	}
	slices.SortFunc(all, func(a, b spec.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func hosts(lines []string) []spec.Host {
	var all []spec.Host
	for _, line := range lines {
		name, address, _ := strings.Cut(line, ":")
		all = append(all, spec.Host{Name: name, Address: address})
	}
	slices.SortFunc(all, func(a, b spec.Host) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Address, b.Address))
	})
	return all
}
