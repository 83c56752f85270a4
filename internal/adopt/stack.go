package adopt

import (
	"slices"
	"strings"

	"havre/internal/dockercall"
	"havre/internal/spec"
)

func (m *maker) services() {
	all := slices.Clone(m.foreign.Services)
	slices.SortFunc(all, func(a, b dockercall.ForeignService) int { return strings.Compare(a.Spec.Name, b.Spec.Name) })
	for _, s := range all {
		name := strings.TrimPrefix(s.Spec.Name, s.Spec.Labels["com.docker.stack.namespace"]+"_")
		m.Objects = append(m.Objects, Object{Name: s.Spec.Name, Service: s.ID})
		m.Project.Services = append(m.Project.Services, m.task(name, s))
	}
}

func (m *maker) task(name string, f dockercall.ForeignService) spec.Service {
	own := f.Spec.TaskTemplate.ContainerSpec
	s := spec.Service{
		Name: name, Image: m.image(name, own.Image, f.Image), Replicas: 1, Environment: variables(own.Env, nil),
		Entrypoint: own.Command, Command: own.Args, User: own.User, WorkingDir: own.Dir, Hostname: own.Hostname, StopSignal: own.StopSignal,
		TTY: own.TTY, Stdin: own.OpenStdin, ReadOnly: own.ReadOnly, Init: own.Init != nil && *own.Init, Groups: own.Groups,
		Labels: m.labels(name, own.Labels, nil), Health: m.health(name, own.Healthcheck, nil), Ulimits: ulimits(own.Ulimits),
	}
	if len(own.Sysctls) > 0 {
		s.Sysctls = own.Sysctls
	}
	if own.StopGracePeriod != nil {
		s.StopGrace = spec.Duration(*own.StopGracePeriod)
	}
	if own.DNSConfig != nil {
		s.DNS = spec.DNS{Servers: own.DNSConfig.Nameservers, Search: own.DNSConfig.Search, Options: own.DNSConfig.Options}
	}
	for _, line := range own.Hosts { // as in /etc/hosts
		if words := strings.Fields(line); len(words) == 2 {
			s.Hosts = append(s.Hosts, hosts([]string{words[1] + ":" + words[0]})...)
		}
	}
	for _, capability := range own.CapabilityAdd {
		m.refuse("%s: it has the capability %s", name, capability)
	}
	for _, capability := range own.CapabilityDrop {
		s.CapDrop = append(s.CapDrop, strings.TrimPrefix(capability, "CAP_"))
	}
	for _, secret := range own.Secrets {
		m.refuse("%s: it uses the secret %s, which a swarm never gives back", name, secret.SecretName)
	}
	m.amounts(&s, f)
	m.taskMounts(&s, own)
	if p := f.Spec.EndpointSpec; p != nil {
		for _, port := range p.Ports {
			s.Ports = append(s.Ports, spec.Port{Internal: uint16(port.TargetPort), External: uint16(port.PublishedPort), Protocol: spec.Protocol(port.Protocol), Access: spec.Public})
		}
	}
	return s
}

// amounts reads how many containers there are, what each may use, and when it
// is started again.
func (m *maker) amounts(s *spec.Service, f dockercall.ForeignService) {
	if r := f.Spec.Mode.Replicated; r != nil && r.Replicas != nil {
		s.Replicas = int(min(*r.Replicas, 1000))
	}
	if f.Spec.Mode.Global != nil {
		m.lose("%s: one container in all, not one on each node", s.Name)
	}
	// A swarm fills the order in where anything was said of updates. It went by
	// it, so to go on is no surprise, and safe where it was meant.
	if u := f.Spec.UpdateConfig; u != nil && u.Order == string(spec.StopFirst) {
		s.Order = spec.StopFirst
	}
	task := f.Spec.TaskTemplate
	if r := task.Resources; r != nil {
		if l := r.Limits; l != nil {
			s.Limits = spec.Limits{CPUs: float64(l.NanoCPUs) / 1e9, Memory: spec.Bytes(l.MemoryBytes), Pids: l.Pids}
		}
		if l := r.Reservations; l != nil {
			s.Reserve = spec.Limits{CPUs: float64(l.NanoCPUs) / 1e9, Memory: spec.Bytes(l.MemoryBytes)}
		}
	}
	if p := task.RestartPolicy; p != nil {
		switch p.Condition {
		case "none":
			s.Restart.Policy = spec.Never
		case "on-failure":
			s.Restart.Policy = spec.OnFailure
			if p.MaxAttempts != nil {
				s.Restart.Attempts = int(min(*p.MaxAttempts, 1<<20))
			}
		}
	}
}

func (m *maker) taskMounts(s *spec.Service, own dockercall.ForeignTask) {
	for _, mount := range own.Mounts {
		switch {
		case mount.Type == "volume" && mount.Source == "":
			m.refuse("%s: the volume at %s has no name, so each container has its own", s.Name, mount.Target)
		case mount.Type == "tmpfs":
			t := spec.Mount{Kind: spec.Tmpfs, Target: mount.Target}
			if mount.TmpfsOptions != nil {
				t.Size = spec.Bytes(mount.TmpfsOptions.SizeBytes)
			}
			s.Mounts = append(s.Mounts, t)
		default:
			m.mount(s, dockercall.ForeignMount{Type: mount.Type, Name: mount.Source, Source: mount.Source, Destination: mount.Target, RW: !mount.ReadOnly})
		}
	}
	for _, c := range own.Configs {
		if c.File == nil {
			m.refuse("%s: the config %s is not mounted as a file", s.Name, c.ConfigName)
			continue
		}
		target, mode := c.File.Name, c.File.Mode&0o777
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
		name := strings.TrimPrefix(c.ConfigName, m.prefix+"_")
		if _, known := m.Project.File(name); !known {
			m.Project.Files = append(m.Project.Files, spec.File{Name: name, Content: m.foreign.Configs[c.ConfigID], Mode: mode})
		}
		s.Mounts = append(s.Mounts, spec.Mount{Kind: spec.Config, Source: name, Target: target, ReadOnly: true})
	}
}
