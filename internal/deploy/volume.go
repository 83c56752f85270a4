package deploy

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/service"
	"havre/internal/spec"
)

// fewFiles is how many files of each volume are counted for a quick list.
const fewFiles = 20_000

// VolumeList tells of all volumes, or those of an environment or a project:
// who has them, and how much they hold. Unless whole, counting ends soon.
// Errors: NotFound when there is no such project or environment.
func (d *Deployer) VolumeList(ctx context.Context, environment, project string, whole bool) ([]api.Volume, error) {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return nil, err
	}
	if environment != "" {
		if err := d.there(environment); err != nil {
			return nil, err
		}
	}
	list := []api.Volume{}
	hit := project == ""
	for i := range records {
		r := &records[i]
		if environment != "" && r.Environment != environment || project != "" && !strings.EqualFold(r.Name, project) {
			continue
		}
		hit = true
		names, err := d.Volumes.Volumes(ctx, r.Environment, r.ID)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			v, err := d.volume(ctx, r, name, whole)
			if problem.KindOf(err) == problem.NotFound {
				continue // it went meanwhile
			}
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	}
	if !hit {
		return nil, problem.New(problem.NotFound, "no project is named %s", project).With("list what there is with: havre volume ls")
	}
	slices.SortFunc(list, func(a, b api.Volume) int {
		return cmp.Or(strings.Compare(a.Environment, b.Environment), strings.Compare(a.Project, b.Project), strings.Compare(a.Name, b.Name))
	})
	return list, nil
}

func (d *Deployer) volume(ctx context.Context, r *project.Record, name string, whole bool) (api.Volume, error) {
	v := api.Volume{Name: name, Project: r.Name, Environment: r.Environment, Orphaned: !couldUse(r, name)}
	v.Kind, v.UsedBy = kindOf(r, name)
	most := int64(fewFiles)
	if whole {
		most = 0
	}
	use, err := d.Volumes.VolumeUse(ctx, service.Volume{Environment: r.Environment, Project: r.ID, Name: name}, most)
	v.Path, v.Bytes, v.Files, v.Partial = use.Path, use.Bytes, use.Files, use.Partial
	if !use.Modified.IsZero() {
		at := use.Modified.UTC()
		v.Modified = &at
	}
	return v, err
}

// kinds are the places of the conventions.
var kinds = map[string]string{"/vol/cache": "cache", "/vol/log": "log", "/vol": "all"}

// kindOf is what a volume is to the services that have it, and who they are.
// What is data to one is data.
func kindOf(r *project.Record, name string) (kind string, by []string) {
	for _, s := range r.Present() {
		cur := s.Rollout(s.Target)
		if cur == nil {
			continue
		}
		for _, m := range cur.Spec.Mounts {
			if m.Kind != spec.Volume || m.Source != name {
				continue
			}
			by = append(by, project.Ref{Record: r, Service: s}.String())
			is := cmp.Or(kinds[m.Target], "data")
			if is == "data" && m.ReadOnly {
				is = "read-only"
			}
			if kind == "" || kind == is {
				kind = is
			} else {
				kind = "data"
			}
		}
	}
	return cmp.Or(kind, "data"), slices.Compact(by)
}

// couldUse tells whether a service has a volume in any rollout that one could
// go back to.
func couldUse(r *project.Record, name string) bool {
	return slices.ContainsFunc(r.Present(), func(s *project.Service) bool {
		return slices.ContainsFunc(s.Rollouts, func(ro project.Rollout) bool { return slices.Contains(volumesOf(ro.Spec), name) })
	})
}

// findVolume finds the one volume that name means: "project/volume" or
// "environment.project/volume", also of a project that was removed.
// Errors: Invalid; NotFound; Conflict when it could mean several.
func (d *Deployer) findVolume(ctx context.Context, environment, name string) (*project.Record, string, error) {
	of, volume, ok := strings.Cut(name, "/")
	if !ok || of == "" || volume == "" {
		return nil, "", problem.New(problem.Invalid, "%q does not name a volume", name).With("write it as PROJECT/VOLUME; list them with: havre volume ls")
	}
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return nil, "", err
	}
	var hits []*project.Record
	for i, r := range records {
		if (environment != "" && r.Environment != environment) || !r.Called(of) {
			continue
		}
		names, err := d.Volumes.Volumes(ctx, r.Environment, r.ID)
		if err != nil {
			return nil, "", err
		}
		if slices.Contains(names, volume) {
			hits = append(hits, &records[i])
		}
	}
	switch len(hits) {
	case 0:
		return nil, "", problem.New(problem.NotFound, "no volume is named %s", name).With("list them with: havre volume ls")
	case 1:
		return hits[0], volume, nil
	}
	return nil, "", problem.New(problem.Conflict, "%s can mean a volume of %s or of %s", name, hits[0].Environment, hits[1].Environment).With("write the environment before it")
}

// VolumeClean empties a volume that is nothing but cache or log to those who
// have it: a cache for good; of a log the files stay, because they are open.
// Errors: NotFound; Invalid for one that holds data.
func (d *Deployer) VolumeClean(ctx context.Context, environment, name string) (api.Cleaned, error) {
	r, volume, err := d.findVolume(ctx, environment, name)
	if err != nil {
		return api.Cleaned{}, err
	}
	done := api.Cleaned{Volume: r.Environment + "." + r.Name + "/" + volume}
	kind, _ := kindOf(r, volume)
	var parts []service.Cleaning
	switch kind {
	case "cache":
		parts = []service.Cleaning{{}}
	case "log":
		parts = []service.Cleaning{{Keep: true}}
	case "all":
		parts = []service.Cleaning{{Part: "cache"}, {Part: "log", Keep: true}}
	default:
		return done, problem.New(problem.Invalid, "the volume %s holds data: only what services have at /vol/cache or /vol/log is emptied", name).
			With("to remove one that no service has: havre volume rm %s", name)
	}
	for _, p := range parts {
		bytes, files, err := d.Volumes.CleanVolume(ctx, service.Volume{Environment: r.Environment, Project: r.ID, Name: volume}, p)
		if err != nil {
			return done, fmt.Errorf("empty %s: %w", name, err)
		}
		done.Bytes, done.Files = done.Bytes+bytes, done.Files+files
	}
	return done, nil
}

// VolumeRemove removes a volume that no service has. A project that was removed
// and has no other is forgotten.
// Errors: NotFound; Conflict while a service has it, or could go back to it.
func (d *Deployer) VolumeRemove(ctx context.Context, environment, name string) (api.Removed, error) {
	r, volume, err := d.findVolume(ctx, environment, name)
	if err != nil {
		return api.Removed{}, err
	}
	if _, by := kindOf(r, volume); len(by) > 0 {
		return api.Removed{}, problem.New(problem.Conflict, "the volume %s belongs to %s", name, strings.Join(by, " and ")).
			With("remove that first: havre rm %s --volumes", by[0])
	}
	if err := d.Volumes.RemoveVolume(ctx, r.Environment, r.ID, volume); err != nil {
		return api.Removed{}, err
	}
	done := api.Removed{Gone: []string{"volume " + volume}}
	left, err := d.Volumes.Volumes(ctx, r.Environment, r.ID)
	if err != nil || len(left) > 0 || !r.Removed {
		return done, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return done, d.forget(ctx, r)
}

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
