package policy

import (
	"maps"
	"slices"
	"time"

	"havre/internal/dockercall"
)

// alwaysDropped are rights that no service needs and that reach out of its
// container: forged packets, device files.
var alwaysDropped = []dockercall.Capability{"CAP_NET_RAW", "CAP_MKNOD"}

func serviceCreate(q question, c *dockercall.ServiceCreate) (dockercall.Call, error) {
	spec, err := judgeService(q, c.Spec)
	return &dockercall.ServiceCreate{Spec: spec}, err
}

// serviceUpdate judges the whole specification again: an update replaces it.
// What the service is may not change.
func serviceUpdate(q question, c *dockercall.ServiceUpdate) (dockercall.Call, error) {
	if err := mustBeOurs(q, q.facts.Target, "service"); err != nil {
		return nil, err
	}
	if q.facts.Target.Labels[dockercall.KindLabel] != ServiceKind || c.Spec.Labels[dockercall.KindLabel] != ServiceKind {
		return nil, refuse(SomebodysObject, "a hook runs once, as it was made")
	}
	spec, err := judgeService(q, c.Spec)
	if err != nil {
		return nil, err
	}
	if string(spec.Name) != q.facts.Target.Name || placeOf(spec.Labels) != placeOf(q.facts.Target.Labels) {
		return nil, refuse(LabelMismatch, "an update may not make another service of it")
	}
	return &dockercall.ServiceUpdate{ID: c.ID, Version: c.Version, Spec: spec}, nil
}

func judgeService(q question, s dockercall.ServiceSpec) (dockercall.ServiceSpec, error) {
	var err error
	if s.Labels, err = judgeNamed(q, s); err != nil {
		return s, err
	}
	if s.TaskTemplate.ContainerSpec == nil {
		return s, refuse(PortalShape, "a service says what container it runs")
	}
	if s.Labels[dockercall.KindLabel] == HookKind {
		if err := judgeOnce(s); err != nil {
			return s, err
		}
	}
	box := *s.TaskTemplate.ContainerSpec
	if box.Labels, err = inner(box.Labels, s.Labels); err != nil {
		return s, err
	}
	if err := judgeBox(q, placeOf(s.Labels), &box); err != nil {
		return s, err
	}
	s.TaskTemplate.ContainerSpec = &box
	if err := judgeNetworks(q, s.Labels, s.TaskTemplate.Networks); err != nil {
		return s, err
	}
	if err := judgeTask(q, &s.TaskTemplate); err != nil {
		return s, err
	}
	return s, judgeScale(q, s)
}

// judgeNamed wants labels to say what the name says, and gives them as they are
// written.
func judgeNamed(q question, s dockercall.ServiceSpec) (dockercall.Labels, error) {
	form, kind, keys := serviceName, ServiceKind, []string{dockercall.ProjectLabel, dockercall.ServiceLabel, dockercall.RolloutLabel}
	if s.Labels[dockercall.KindLabel] == HookKind {
		form, kind, keys = hookName, HookKind, keys[:2]
	}
	labels, err := stamped(q, s.Labels, kind)
	if err != nil {
		return nil, err
	}
	return labels, agree(labels, form, s.Name, keys...)
}

// judgeOnce wants a hook to be one container that never comes back, and that
// nobody takes for the service: it has no name of its own. A job of the swarm's
// would come back.
func judgeOnce(s dockercall.ServiceSpec) error {
	t := s.TaskTemplate
	switch r := s.Mode.Replicated; {
	case r == nil || r.Replicas == nil || *r.Replicas != 1:
		return refuse(Amount, "a hook is one container")
	case t.RestartPolicy == nil || t.RestartPolicy.Condition != "none" || t.ForceUpdate != 0 || s.UpdateConfig != nil:
		return refuse(RestartPolicy, "a hook runs once: its restart condition is none, and it is not updated")
	case t.ContainerSpec.Hostname != "":
		return refuse(NameMismatch, "a hook has no host name")
	case len(t.Networks) != 1 || len(t.Networks[0].Aliases) > 0:
		return refuse(NameMismatch, "a hook is on its project's network alone, and has no names there")
	}
	return nil
}

// judgeBox judges what runs and what it can reach on the host.
func judgeBox(q question, p place, box *dockercall.ContainerSpec) error {
	if err := judgeImage(q, p, box.Image); err != nil {
		return err
	}
	var err error
	if box.Mounts, err = judgeMounts(q, p, box.Mounts); err != nil {
		return err
	}
	if err := judgeConfigs(q, p, box.Configs); err != nil {
		return err
	}
	if err := judgeSecrets(q, p, box.Secrets); err != nil {
		return err
	}
	if err := judgePlaces(q, box.Mounts, box.Files()); err != nil {
		return err
	}
	if err := judgeDir(q, box.Dir); err != nil {
		return err
	}
	if err := judgeGrace(box.StopGracePeriod); err != nil {
		return err
	}
	if err := judgeConfinement(q, box); err != nil {
		return err
	}
	added, dropped, err := judgeCapabilities(q, box.CapabilityAdd, box.CapabilityDrop)
	box.CapabilityAdd, box.CapabilityDrop = added, dropped
	return err
}

func judgeGrace(d *time.Duration) error {
	if d != nil && (*d < 0 || *d > time.Hour) {
		return refuse(Amount, "a container gets at most an hour to stop")
	}
	return nil
}

// judgeCapabilities allows what the bounds name, and drops what nobody keeps.
func judgeCapabilities(q question, add, drop []dockercall.Capability) (added, dropped []dockercall.Capability, err error) {
	for _, c := range add {
		if c == "ALL" || !slices.Contains(q.bounds.Capabilities, c) {
			return nil, nil, refuse(CapabilityRule, "the capability %s is not given to anyone here", c)
		}
	}
	dropped = slices.Clone(drop)
	for _, c := range alwaysDropped {
		if !slices.Contains(dropped, c) && !slices.Contains(dropped, "ALL") && !slices.Contains(add, c) {
			dropped = append(dropped, c)
		}
	}
	return add, dropped, nil
}

func judgeConfigs(q question, p place, refs []dockercall.ConfigRef) error {
	for _, r := range refs {
		if r.File == nil || r.File.Mode > 0o777 {
			return refuse(MountTarget, "a config is mounted as a file with plain permissions")
		}
		if err := judgeTarget(r.File.Name, false); err != nil {
			return err
		}
		o := q.facts.Configs[r.ConfigID]
		if err := mustBeOurs(q, o, "config"); err != nil {
			return err
		}
		if placeOf(o.Labels) != p || o.Name != string(r.ConfigName) {
			return refuse(OtherProject, "the config %s is not of this project", r.ConfigName)
		}
	}
	return nil
}

// maxNetworks is how many networks a service may be on: its project's, and
// those of links.
const maxNetworks = 32

// judgeNetworks wants a service on its own project's network, and besides on
// networks of links that it is an end of.
func judgeNetworks(q question, labels dockercall.Labels, joined []dockercall.Attachment) error {
	if len(joined) > maxNetworks {
		return refuse(Amount, "a service is on at most %d networks", maxNetworks)
	}
	seen, own := map[dockercall.SwarmID]bool{}, 0
	for _, n := range joined {
		if seen[n.Target] {
			return refuse(NetworkMissing, "a service joins a network once")
		}
		seen[n.Target] = true
		if q.facts.Networks[n.Target].Labels[dockercall.KindLabel] == LinkKind {
			if err := judgeEnd(q, labels, n); err != nil {
				return err
			}
			continue
		}
		own++
		if err := judgeAttachment(q, placeOf(labels), n.Target); err != nil {
			return err
		}
	}
	if own == 0 {
		return refuse(NetworkMissing, "a service is on its project's network")
	}
	return nil
}

// judgeEnd wants a service to be of the project that a link network leads from,
// or the very service that it leads to, in the same environment. Only that one
// has names there: who calls it shall find nobody else.
func judgeEnd(q question, labels dockercall.Labels, n dockercall.Attachment) error {
	o := q.facts.Networks[n.Target]
	if err := mustBeOurs(q, o, "network"); err != nil {
		return err
	}
	link, p := placeOf(o.Labels), placeOf(labels)
	isTarget := p.project != "" && o.Labels[dockercall.LinkLabel] == p.project+"."+labels[dockercall.ServiceLabel]
	switch {
	case link.environment != p.environment:
		return refuse(OtherProject, "the link network %s is of another environment", n.Target)
	case link.project != p.project && !isTarget:
		return refuse(OtherProject, "the link network %s is not for this service", n.Target)
	case !isTarget && len(n.Aliases) > 0:
		return refuse(LinkName, "on a link network only the service that it leads to has names")
	}
	return nil
}

func judgeTask(q question, t *dockercall.TaskSpec) error {
	resources, err := judgeResources(q, t.Resources)
	if err != nil {
		return err
	}
	driver, err := judgeLog(q, t.LogDriver)
	t.Resources, t.LogDriver = resources, driver
	return err
}

// judgeAttachment wants a network of the same project: a link to another
// project goes over a network made for it.
func judgeAttachment(q question, p place, id dockercall.SwarmID) error {
	o := q.facts.Networks[id]
	if err := mustBeOurs(q, o, "network"); err != nil {
		return err
	}
	if placeOf(o.Labels) != p || o.Labels[dockercall.KindLabel] != NetKind {
		return refuse(OtherProject, "the network %s is not this project's own", id)
	}
	return nil
}

func judgeResources(q question, given *dockercall.Resources) (*dockercall.Resources, error) {
	var r dockercall.Resources
	if given != nil {
		r = *given
	}
	var l dockercall.Limits
	if r.Limits != nil {
		l = *r.Limits
	}
	pids, err := judgeAmounts(q, l.Pids, l.MemoryBytes, l.NanoCPUs)
	if err != nil {
		return nil, err
	}
	l.Pids = pids
	r.Limits = &l
	if v := r.Reservations; v != nil && (v.NanoCPUs < 0 || v.MemoryBytes < 0) {
		return nil, refuse(Amount, "a reservation is negative")
	}
	return &r, nil
}

// judgeAmounts gives the number of processes: the bound, for who asks for none.
func judgeAmounts(q question, pids, memory, cpus int64) (int64, error) {
	if pids < 0 || pids > q.bounds.Pids || q.bounds.Pids == 0 {
		return 0, refuse(Amount, "a container may have %d processes, not %d", q.bounds.Pids, pids)
	}
	if memory < 0 || cpus < 0 || q.bounds.Memory > 0 && memory > q.bounds.Memory {
		return 0, refuse(Amount, "a container may have %d bytes of memory, not %d", q.bounds.Memory, memory)
	}
	if pids == 0 {
		pids = q.bounds.Pids
	}
	return pids, nil
}

func judgeLog(q question, d *dockercall.LogDriver) (*dockercall.LogDriver, error) {
	if d == nil || d.Name == "" && len(d.Options) == 0 {
		d = &dockercall.LogDriver{Name: "local"}
	}
	options, err := logOptions(q, d.Name, d.Options)
	return &dockercall.LogDriver{Name: "local", Options: options}, err
}

// logOptions allows the local driver only: others send what containers say
// to hosts of the caller's choice, with the engine's rights.
func logOptions(q question, driver string, given map[string]string) (map[string]string, error) {
	if driver != "local" {
		return nil, refuse(LogDriverRule, "the log driver %.40q is not local", driver)
	}
	options := map[string]string{"max-size": q.bounds.LogSize, "max-file": q.bounds.LogFiles}
	for k, v := range maps.All(given) {
		form, known := logForms[k]
		if !known || !form.MatchString(v) {
			return nil, refuse(LogDriverRule, "the log option %.40q=%.40q is not allowed", k, v)
		}
		options[k] = v
	}
	return options, nil
}

func judgeScale(q question, s dockercall.ServiceSpec) error {
	r := s.Mode.Replicated
	if r == nil || r.Replicas == nil || *r.Replicas > q.bounds.Replicas {
		return refuse(Amount, "a service states from 0 to %d replicas", q.bounds.Replicas)
	}
	if s.EndpointSpec == nil || s.EndpointSpec.Mode != "dnsrr" {
		return refuse(EndpointMode, "services are found by DNS: the endpoint mode is dnsrr")
	}
	if u := s.UpdateConfig; u != nil && (u.Delay < 0 || u.Monitor < 0) {
		return refuse(Amount, "an update's times are not negative")
	}
	return nil
}
