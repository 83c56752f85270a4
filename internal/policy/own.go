package policy

import (
	"maps"

	"havre/internal/dockercall"
)

func configCreate(q question, c *dockercall.ConfigCreate) (dockercall.Call, error) {
	labels, err := stamped(q, c.Spec.Labels, ConfigKind)
	if err != nil {
		return nil, err
	}
	if err := agree(labels, configName, c.Spec.Name, dockercall.ProjectLabel); err != nil {
		return nil, err
	}
	spec := c.Spec
	spec.Labels = maps.Clone(labels)
	return &dockercall.ConfigCreate{Spec: spec}, nil
}

func volumeEnsure(q question, c *dockercall.VolumeEnsure) (dockercall.Call, error) {
	if c.Environment == "" || c.Project == "" || c.Name == "" || c.Path == "" {
		return nil, refuse(MountSource, "a volume has an environment, a project, a name and a path")
	}
	if err := judgeTarget(c.Path, false); err != nil {
		return nil, err
	}
	if err := judgeImage(q, place{string(c.Environment), string(c.Project)}, c.Image); err != nil {
		return nil, err
	}
	if err := judgeResolved(q, SeedTarget); err != nil {
		return nil, err
	}
	return c, judgeResolved(q, c.Path)
}

// SeedTarget is where the guard mounts a new volume to fill it, in a container
// of the image that is never started.
const SeedTarget dockercall.Path = "/.havre-seed"

func volumeRemove(q question, c *dockercall.VolumeRemove) (dockercall.Call, error) {
	if err := named(c.Environment, c.Project, c.Name); err != nil {
		return nil, err
	}
	if len(q.facts.MountedAt) > 0 {
		return nil, refuse(VolumeInUse, "a container mounts the volume %s", c.Name)
	}
	return c, nil
}

// named wants a volume's whole name.
func named(e dockercall.Environment, p dockercall.ProjectID, v dockercall.VolumeName) error {
	if e == "" || p == "" || v == "" {
		return refuse(MountSource, "a volume has an environment, a project and a name")
	}
	return nil
}

func volumeSettle(_ question, c *dockercall.VolumeSettle) (dockercall.Call, error) {
	return c, named(c.Environment, c.Project, c.Name)
}

func volumeUsage(_ question, c *dockercall.VolumeUsage) (dockercall.Call, error) {
	if c.Most < 0 {
		return nil, refuse(Amount, "%d files cannot be looked at", c.Most)
	}
	return c, named(c.Environment, c.Project, c.Name)
}

// volumeClean allows to empty what nobody mounts, and of what is mounted the
// places that a service promises to do without.
func volumeClean(q question, c *dockercall.VolumeClean) (dockercall.Call, error) {
	if err := named(c.Environment, c.Project, c.Name); err != nil {
		return nil, err
	}
	for _, at := range q.facts.MountedAt {
		whole := c.Part == "" && (at == "/vol/cache" || at == "/vol/log")
		if !whole && !(c.Part != "" && at == "/vol") {
			return nil, refuse(VolumeInUse, "a container has the volume %s at %.100q, where data is", c.Name, at)
		}
	}
	return c, nil
}

func conventions(q question, c *dockercall.Conventions) (dockercall.Call, error) {
	if q.facts.Image.Exists && len(q.facts.Image.Refs) == 0 {
		return nil, refuse(ImageNotOurs, "this is an image of no environment")
	}
	if !q.facts.Image.Exists {
		return nil, missing("image")
	}
	return c, nil
}

func portal(_ question, c *dockercall.Portal) (dockercall.Call, error) {
	if c.Environment == "" {
		return nil, refuse(NameMismatch, "a portal belongs to an environment")
	}
	return c, nil
}

// firewall closes ports to containers; name service and the like stay open.
func firewall(_ question, c *dockercall.Firewall) (dockercall.Call, error) {
	for _, p := range c.Ports {
		if p == 0 || p == 53 {
			return nil, refuse(PortReserved, "port %d is not Havre's to close", p)
		}
	}
	if len(c.Ports) > 64 {
		return nil, refuse(Amount, "more than 64 ports")
	}
	return c, nil
}

func purge(q question, c *dockercall.Purge) (dockercall.Call, error) {
	if q.caller.Role != Root {
		return nil, refuse(RootOnly, "only root removes everything")
	}
	return c, nil
}
