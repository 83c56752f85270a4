package servertest

import (
	"context"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
)

// AddVolume makes a volume of the environment prod: a cache with one file of
// 4 KiB, or an orphan.
func (f *Fake) AddVolume(project, name, kind string, usedBy ...string) {
	f.set(func() {
		f.stored = append(f.stored, api.Volume{
			Name: name, Project: project, Environment: "prod", Kind: kind, Path: "/var/lib/havre/volume/prod/aaaaaaa2/" + name,
			Bytes: 4 << 10, Files: 1, UsedBy: usedBy, Orphaned: len(usedBy) == 0,
		})
	})
}

// VolumeList gives the volumes.
func (f *Fake) VolumeList(_ context.Context, environment, project string, _ bool) ([]api.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []api.Volume
	for _, v := range f.stored {
		if (environment == "" || v.Environment == environment) && (project == "" || v.Project == project) {
			all = append(all, v)
		}
	}
	if project != "" && len(all) == 0 {
		return nil, problem.New(problem.NotFound, "no project is named %s", project)
	}
	return all, nil
}

// volume finds a volume; the caller holds mu.
func (f *Fake) volume(name string) (int, error) {
	i := slices.IndexFunc(f.stored, func(v api.Volume) bool {
		return name == v.Project+"/"+v.Name || name == v.Environment+"."+v.Project+"/"+v.Name
	})
	if i < 0 {
		return i, problem.New(problem.NotFound, "no volume is named %s", name).With("list them with: havre volume ls")
	}
	return i, nil
}

// VolumeClean empties a cache or log.
func (f *Fake) VolumeClean(_ context.Context, _, name string) (api.Cleaned, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.volume(name)
	if err != nil {
		return api.Cleaned{}, err
	}
	v := &f.stored[i]
	if v.Kind != "cache" && v.Kind != "log" {
		return api.Cleaned{}, problem.New(problem.Invalid, "the volume %s holds data", name).With("to remove one that no service has: havre volume rm %s", name)
	}
	done := api.Cleaned{Volume: "prod." + v.Project + "/" + v.Name, Bytes: v.Bytes, Files: v.Files}
	v.Bytes, v.Files = 0, 0
	return done, nil
}

// VolumeRemove removes an orphan.
func (f *Fake) VolumeRemove(_ context.Context, _, name string) (api.Removed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.volume(name)
	if err != nil {
		return api.Removed{}, err
	}
	if by := f.stored[i].UsedBy; len(by) > 0 {
		return api.Removed{}, problem.New(problem.Conflict, "the volume %s belongs to %s", name, strings.Join(by, " and ")).With("remove that first: havre rm %s --volumes", by[0])
	}
	gone := "volume " + f.stored[i].Name
	f.stored = slices.Delete(f.stored, i, i+1)
	return api.Removed{Gone: []string{gone}}, nil
}
