package project

import (
	"context"
	"path"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// Shelf is where a path of a service or a volume is to be found: in a container
// that runs, or in volumes that a container which never runs may mount.
type Shelf struct {
	Environment string
	Project     spec.ProjectID
	Service     spec.ServiceID
	Container   string // one that runs; "" when the volumes are the way
	Images      []string
	Volumes     []service.Bind // Source is the volume's name
	Path        string         // in that container
}

// volumeAt is where a volume is put that is reached by its own name.
const volumeAt = "/volume"

// Shelve finds the way to a path. To write, what the service has read-only is
// reached by its volume.
// Errors: NotFound; Conflict when the name could mean several; Unavailable when
// it can only be done in a container and none runs.
func (d *Deployer) Shelve(ctx context.Context, t api.Target, at string, write bool) (Shelf, error) {
	if strings.Contains(t.Name, "/") {
		return d.shelveVolume(ctx, t, at)
	}
	ref, _, err := d.find(ctx, t)
	if err != nil {
		return Shelf{}, err
	}
	cur := ref.Service.Current()
	if cur == nil {
		return Shelf{}, problem.New(problem.Unavailable, "%s has no rollout yet", ref)
	}
	s := Shelf{Environment: ref.Record.Environment, Project: ref.Record.ID, Service: ref.Service.ID, Images: []string{cur.Image.ID}, Path: at}
	readOnly, inVolume := false, false
	for _, m := range cur.Spec.Mounts {
		if m.Kind != spec.Volume {
			continue
		}
		s.Volumes = append(s.Volumes, service.Bind{Source: m.Source, Target: m.Target})
		if at == m.Target || strings.HasPrefix(at, m.Target+"/") {
			readOnly, inVolume = readOnly || m.ReadOnly, true
		}
	}
	if write && readOnly {
		return s, nil
	}
	all, err := d.Containers(ctx, t, false)
	if err != nil {
		return s, err
	}
	for _, c := range all {
		if c.Running && (s.Container == "" || c.Serving) {
			s.Container = c.ID
		}
	}
	if s.Container == "" && write && !inVolume {
		return s, problem.New(problem.Unavailable, "no container of %s runs, and %s is in none of its volumes: it would be lost", ref, at).
			With("copy to a volume, or start it: havre start %s", ref)
	}
	return s, nil
}

func (d *Deployer) shelveVolume(ctx context.Context, t api.Target, at string) (Shelf, error) {
	r, volume, err := d.findVolume(ctx, t.Environment, t.Name)
	if err != nil {
		return Shelf{}, err
	}
	s := Shelf{Environment: r.Environment, Project: r.ID, Path: path.Join(volumeAt, at), Volumes: []service.Bind{{Source: volume, Target: volumeAt}}}
	for _, svc := range r.Services {
		for _, ro := range slices.Backward(svc.Rollouts) {
			s.Service = svc.ID
			s.Images = append(s.Images, ro.Image.ID)
		}
	}
	if len(s.Images) == 0 {
		return s, problem.New(problem.Unavailable, "no image is remembered to look into %s with", t.Name)
	}
	return s, nil
}
