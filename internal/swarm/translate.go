package swarm

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/swarm"

	"havre/internal/service"
	"havre/internal/spec"
)

// restartDelay is short because an app that crashed shall be back at once;
// zero would mean the engine's 5 s.
const restartDelay = 10 * time.Millisecond

// defaultGrace is how long an app has to stop when its declaration says nothing.
const defaultGrace = 10 * time.Second

// Docker's own log keepers grow without bounds unless told otherwise.
var logDriver = swarm.Driver{Name: "local", Options: map[string]string{"max-size": "10m", "max-file": "3"}}

// dropped are the capabilities that Docker gives and that no service needs:
// forging packets, among them another network's, and making device files.
var dropped = []string{"CAP_NET_RAW", "CAP_MKNOD"}

// translate says in Docker's words what d says in ours.
func translate(d service.Desired, node spec.NodeID) swarm.ServiceSpec {
	replicas := uint64(max(0, d.Spec.Replicas))
	return swarm.ServiceSpec{
		Annotations: swarm.Annotations{Name: d.Name(), Labels: markOf(d).labels(nil)},
		TaskTemplate: swarm.TaskSpec{
			ContainerSpec: translateContainer(d),
			Resources:     translateResources(d.Spec),
			RestartPolicy: translateRestart(d.Spec.Restart),
			Placement:     &swarm.Placement{Constraints: []string{"node.id==" + string(node)}},
			Networks:      translateNetworks(d),
			LogDriver:     translateLog(d.Spec.Log),
		},
		Mode:         swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &replicas}},
		UpdateConfig: translateUpdate(d.Spec),
		EndpointSpec: &swarm.EndpointSpec{Mode: swarm.ResolutionModeDNSRR},
	}
}

func translateNetworks(d service.Desired) []swarm.NetworkAttachmentConfig {
	all := []swarm.NetworkAttachmentConfig{{Target: d.Network, Aliases: append([]string{d.Spec.Name}, d.Spec.Aliases...)}}
	for _, j := range d.Joins {
		all = append(all, swarm.NetworkAttachmentConfig{Target: j.Network, Aliases: j.Aliases})
	}
	return all
}

func translateContainer(d service.Desired) *swarm.ContainerSpec {
	s := d.Spec
	grace := s.StopGrace.Std()
	if grace == 0 {
		grace = defaultGrace
	}
	c := &swarm.ContainerSpec{
		Image:           d.Image,
		Labels:          markOf(d).labels(s.Labels),
		Command:         s.Entrypoint, // Docker's services call the entry point Command
		Args:            s.Command,
		Hostname:        s.Hostname,
		Env:             literal(d.Variables),
		Dir:             s.WorkingDir,
		User:            s.User,
		StopSignal:      s.StopSignal,
		ReadOnly:        s.ReadOnly,
		Mounts:          translateMounts(d),
		StopGracePeriod: &grace,
		Healthcheck:     translateHealth(d),
		Configs:         translateFiles(d.Files),
		Secrets:         translateSecrets(d.Secrets),
		CapabilityAdd:   prefixed(s.CapAdd),
		CapabilityDrop:  without(translateDropped(s.CapDrop), prefixed(s.CapAdd)),
		Groups:          s.Groups,
		TTY:             s.TTY,
		OpenStdin:       s.Stdin,
		Hosts:           translateHosts(s.Hosts),
		Sysctls:         s.Sysctls,
	}
	if s.Init {
		c.Init = &s.Init
	}
	for _, u := range s.Ulimits {
		c.Ulimits = append(c.Ulimits, &container.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	if n := s.DNS; len(n.Servers)+len(n.Search)+len(n.Options) > 0 {
		c.DNSConfig = &swarm.DNSConfig{Nameservers: addresses(n.Servers), Search: n.Search, Options: n.Options}
	}
	return c
}

// addresses leaves out what is none: declarations are validated before.
func addresses(texts []string) []netip.Addr {
	var all []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			all = append(all, a)
		}
	}
	return all
}

func prefixed(capabilities []string) []string {
	var all []string
	for _, c := range capabilities {
		all = append(all, "CAP_"+c)
	}
	return all
}

func without(all, some []string) []string {
	return slices.DeleteFunc(all, func(c string) bool { return slices.Contains(some, c) })
}

// translateDropped adds what no service keeps.
func translateDropped(more []string) []string {
	if slices.Contains(more, "ALL") {
		return []string{"ALL"}
	}
	all := slices.Clone(dropped)
	for _, c := range more {
		if c = "CAP_" + c; !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

// translateHosts writes lines of /etc/hosts: the address comes first.
func translateHosts(hosts []spec.Host) []string {
	var lines []string
	for _, h := range hosts {
		lines = append(lines, h.Address+" "+h.Name)
	}
	return lines
}

// translateLog keeps output on the node. The engine takes whole kilobytes.
func translateLog(l spec.Log) *swarm.Driver {
	options := maps.Clone(logDriver.Options)
	if size := int64(l.Size); size > 0 {
		options["max-size"] = fmt.Sprintf("%dk", (size+1023)>>10)
		if size%(1<<20) == 0 || size > 9999<<10 {
			options["max-size"] = fmt.Sprintf("%dm", (size+1<<20-1)>>20)
		}
	}
	if l.Files > 0 {
		options["max-file"] = strconv.Itoa(l.Files)
	}
	return &swarm.Driver{Name: logDriver.Name, Options: options}
}

// literal keeps the swarm from taking a variable for one of its templates.
func literal(variables []string) []string {
	var all []string
	for _, v := range variables {
		all = append(all, strings.ReplaceAll(v, "{{", `{{"{{"}}`))
	}
	return all
}

// translateMounts takes volumes from where they were found on this machine;
// files come as configs.
func translateMounts(d service.Desired) []mount.Mount {
	var mounts []mount.Mount
	for _, b := range d.Binds {
		mounts = append(mounts, mount.Mount{Type: mount.TypeBind, Source: b.Source, Target: b.Target, ReadOnly: b.ReadOnly})
	}
	for _, m := range d.Spec.Mounts {
		if m.Kind != spec.Tmpfs {
			continue
		}
		t := mount.Mount{Type: mount.TypeTmpfs, Target: m.Target, ReadOnly: m.ReadOnly}
		if m.Size > 0 {
			t.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(m.Size)}
		}
		mounts = append(mounts, t)
	}
	return mounts
}

func translateFiles(files []service.File) []*swarm.ConfigReference {
	var all []*swarm.ConfigReference
	for _, f := range files {
		mode := os.FileMode(f.Mode)
		if mode == 0 {
			mode = 0o444
		}
		all = append(all, &swarm.ConfigReference{
			File:     &swarm.ConfigReferenceFileTarget{Name: f.Target, UID: strconv.FormatUint(uint64(f.UID), 10), GID: strconv.FormatUint(uint64(f.GID), 10), Mode: mode},
			ConfigID: f.ConfigID, ConfigName: f.ConfigName,
		})
	}
	return all
}

func translateSecrets(secrets []service.SecretFile) []*swarm.SecretReference {
	var all []*swarm.SecretReference
	for _, s := range secrets {
		mode := os.FileMode(s.Mode)
		if mode == 0 {
			mode = 0o444
		}
		all = append(all, &swarm.SecretReference{
			File:     &swarm.SecretReferenceFileTarget{Name: s.Target, UID: strconv.FormatUint(uint64(s.UID), 10), GID: strconv.FormatUint(uint64(s.GID), 10), Mode: mode},
			SecretID: s.SecretID, SecretName: s.SecretName,
		})
	}
	return all
}

// translateHealth leaves what is not said to the image (Docker API 1.41,
// HealthConfig: zero values inherit).
func translateHealth(d service.Desired) *container.HealthConfig {
	h := d.Spec.Health
	switch {
	case h == nil && d.CheckStart == 0:
		return nil
	case h == nil:
		h = &spec.Health{}
	}
	return &container.HealthConfig{
		Test:        h.Test,
		Interval:    h.Interval.Std(),
		Timeout:     h.Timeout.Std(),
		StartPeriod: d.CheckStart,
		Retries:     h.Retries,
	}
}

func translateResources(s spec.Service) *swarm.ResourceRequirements {
	r := &swarm.ResourceRequirements{}
	if l := s.Limits; l != (spec.Limits{}) {
		r.Limits = &swarm.Limit{NanoCPUs: nano(l.CPUs), MemoryBytes: int64(l.Memory), Pids: l.Pids}
	}
	// Processes cannot be reserved: the engine knows no such thing.
	if l := s.Reserve; l.CPUs > 0 || l.Memory > 0 {
		r.Reservations = &swarm.Resources{NanoCPUs: nano(l.CPUs), MemoryBytes: int64(l.Memory)}
	}
	return r
}

func nano(cpus float64) int64 { return int64(math.Round(cpus * 1e9)) }

func translateRestart(r spec.Restart) *swarm.RestartPolicy {
	delay := restartDelay
	p := &swarm.RestartPolicy{Condition: swarm.RestartPolicyConditionAny, Delay: &delay}
	switch r.Policy {
	case spec.OnFailure:
		p.Condition = swarm.RestartPolicyConditionOnFailure
		if attempts := uint64(max(0, r.Attempts)); attempts > 0 {
			p.MaxAttempts = &attempts
		}
	case spec.Never:
		p.Condition = swarm.RestartPolicyConditionNone
	}
	return p
}

// translateUpdate decides what a restart does: two containers must never
// write to one volume or run where one is to be alone, and else the old shall
// serve until the new is well.
func translateUpdate(s spec.Service) *swarm.UpdateConfig {
	u := &swarm.UpdateConfig{Parallelism: 1, FailureAction: swarm.UpdateFailureActionPause, Order: swarm.UpdateOrderStartFirst}
	if s.Excludes(s) {
		u.Order = swarm.UpdateOrderStopFirst
	}
	return u
}
