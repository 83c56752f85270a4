package deploy

import (
	"context"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// await finds the new volumes that begin with what a directory of the caller's
// has, and has their services wait for it: volumes that are not there, and
// those whose filling broke off. One that is gone though a service runs on it
// is for a person to bring back.
func (d *Deployer) await(ctx context.Context, old project.Record, fills []api.Fill, o *Outcome) error {
	if len(fills) == 0 && len(old.Awaits) == 0 {
		return nil
	}
	there, err := d.Volumes.Volumes(ctx, old.Environment, old.ID)
	if err != nil {
		return err
	}
	var awaits []project.Await
	for _, a := range old.Awaits { // what is there of it is not whole, whoever applies now
		if slices.Contains(there, a.Volume) && mounts(o.Record.Declared, spec.Volume, a.Volume) {
			awaits = append(awaits, a)
		}
	}
	for _, f := range fills {
		broke := slices.ContainsFunc(awaits, func(a project.Await) bool { return a.Volume == f.Volume })
		if !mounts(o.Record.Declared, spec.Volume, f.Volume) || old.Holds(f.Volume) || slices.Contains(there, f.Volume) && !broke {
			continue
		}
		o.Plan.Fills = append(o.Plan.Fills, f)
		if !broke {
			awaits = append(awaits, project.Await{Volume: f.Volume, From: f.From})
		}
	}
	o.Same = o.Same && slices.Equal(awaits, old.Awaits)
	o.Record.Awaits = awaits
	return nil
}

// Filling is a volume that waits for what its directory has, and the way to it.
type Filling struct {
	Shelf
	Volume service.Volume
}

// Fill has put make a volume that waits to be filled, whole, and lets the
// services that mount it start then. The target's name is PROJECT/VOLUME.
// Errors: NotFound; Conflict when it does not wait, or is being filled; put's.
func (d *Deployer) Fill(ctx context.Context, t api.Target, put func(context.Context, Filling) error) error {
	r, f, err := d.awaiting(ctx, t)
	if err != nil {
		return err
	}
	release, err := d.holdFilling(f)
	if err != nil {
		return err
	}
	defer release()
	if err := put(ctx, f); err != nil {
		return err
	}
	_, err = d.change(ctx, api.Target{Name: r.Name, Environment: r.Environment, Project: true}, func(ref project.Ref) error {
		ref.Record.Awaits = slices.DeleteFunc(slices.Clone(ref.Record.Awaits), func(a project.Await) bool { return a.Volume == f.Volume.Name })
		return nil
	})
	return err
}

// holdFilling keeps others from filling the same volume: services start on it
// when one is done.
func (d *Deployer) holdFilling(f Filling) (release func(), err error) {
	d.fillings.Lock()
	defer d.fillings.Unlock()
	key := string(f.Project) + "/" + f.Volume.Name
	if d.filling[key] {
		return nil, problem.New(problem.Conflict, "the volume %s is being filled by somebody else", f.Volume.Name).With("wait, and look with: havre ps")
	}
	if d.filling == nil {
		d.filling = map[string]bool{}
	}
	d.filling[key] = true
	return func() {
		d.fillings.Lock()
		defer d.fillings.Unlock()
		delete(d.filling, key)
	}, nil
}

// fills tells whether a volume of a project is being filled.
func (d *Deployer) fills(p spec.ProjectID) bool {
	d.fillings.Lock()
	defer d.fillings.Unlock()
	for key := range d.filling {
		if strings.HasPrefix(key, string(p)+"/") {
			return true
		}
	}
	return false
}

// awaiting finds a volume that waits to be filled, and the service that it is
// made for: the first that writes to it, else the first that mounts it.
func (d *Deployer) awaiting(ctx context.Context, t api.Target) (*project.Record, Filling, error) {
	of, name, _ := strings.Cut(t.Name, "/")
	ref, _, err := d.find(ctx, api.Target{Name: of, Environment: t.Environment, Project: true})
	if err != nil {
		return nil, Filling{}, err
	}
	r := ref.Record
	if !r.Awaiting(name) {
		return nil, Filling{}, problem.New(problem.Conflict, "the volume %s does not wait to be filled", t.Name).With("copy into it with: havre cp DIR/. %s:/", t.Name)
	}
	var found *Filling
	for _, s := range r.Present() {
		ro := s.Rollout(s.Target)
		if ro == nil {
			continue
		}
		for _, m := range ro.Spec.Mounts {
			if m.Kind != spec.Volume || m.Source != name || found != nil && m.ReadOnly {
				continue
			}
			found = &Filling{
				Volume: service.Volume{Environment: r.Environment, Project: r.ID, Name: name, Image: ro.Image.ID, Path: m.Target, User: ro.Spec.User, Bare: true},
				Shelf: Shelf{
					Environment: r.Environment, Project: r.ID, Service: s.ID, Images: []string{ro.Image.ID}, Path: volumeAt,
					Volumes: []service.Bind{{Source: name, Target: volumeAt}},
				},
			}
		}
	}
	if found == nil {
		return nil, Filling{}, problem.New(problem.NotFound, "no service of %s mounts the volume %s", of, name)
	}
	return r, *found, nil
}
