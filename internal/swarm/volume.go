package swarm

import (
	"context"
	"time"

	"havre/internal/dockercall"
	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// Volume names a volume.
type Volume struct {
	Environment string
	Project     spec.ProjectID
	Name        string
}

// VolumeUse is a volume and the service that mounts it first: a new volume
// begins with what the image has there, and belongs to the service's user.
type VolumeUse struct {
	Volume
	Image string // id, sha256:…
	Path  string // where the service mounts it
	User  string // as whom the service runs; "" is the image's user
	Kept  bool   // a service had it before: it is not made anew when it is gone
}

// EnsureVolume makes a volume unless it is there, and returns its directory
// on this machine, the source of a bind mount, and whether it is new: no
// service has started on it yet.
//
// Errors: NotFound when it is gone and was to be kept.
func (s *Swarm) EnsureVolume(ctx context.Context, v VolumeUse) (source string, fresh bool, err error) {
	var answer dockercall.VolumeSource
	err = s.call(ctx, dockercall.VolumeEnsurePath, dockercall.VolumeEnsure{
		Environment: dockercall.Environment(v.Environment),
		Project:     dockercall.ProjectID(v.Project),
		Name:        dockercall.VolumeName(v.Name),
		Image:       dockercall.ImageID(v.Image),
		Path:        dockercall.Path(v.Path),
		User:        dockercall.User(v.User),
		Kept:        v.Kept,
	}, &answer)
	return answer.Source, answer.New, err
}

// Volumes lists the volumes of a project, of an environment when project is
// "", or all.
func (s *Swarm) Volumes(ctx context.Context, environment string, project spec.ProjectID) ([]Volume, error) {
	var answer []dockercall.Volume
	err := s.call(ctx, dockercall.VolumeListPath, dockercall.VolumeList{
		Environment: dockercall.Environment(environment), Project: dockercall.ProjectID(project),
	}, &answer)
	var all []Volume
	for _, v := range answer {
		all = append(all, Volume{string(v.Environment), spec.ProjectID(v.Project), string(v.Name)})
	}
	return all, err
}

// RemoveVolume takes a volume and all it holds away. It is no error when
// there is none.
//
// Errors: Conflict or Denied while a container mounts it.
func (s *Swarm) RemoveVolume(ctx context.Context, v Volume) error {
	err := s.call(ctx, dockercall.VolumeRemovePath, dockercall.VolumeRemove{
		Environment: dockercall.Environment(v.Environment), Project: dockercall.ProjectID(v.Project), Name: dockercall.VolumeName(v.Name),
	}, &struct{}{})
	if problem.KindOf(err) == problem.NotFound {
		return nil
	}
	return err
}

// SettleVolume makes a volume one that is new no more. It is no error when
// there is none.
func (s *Swarm) SettleVolume(ctx context.Context, v Volume) error {
	err := s.call(ctx, dockercall.VolumeSettlePath, dockercall.VolumeSettle{
		Environment: dockercall.Environment(v.Environment), Project: dockercall.ProjectID(v.Project), Name: dockercall.VolumeName(v.Name),
	}, &struct{}{})
	if problem.KindOf(err) == problem.NotFound {
		return nil
	}
	return err
}

// VolumeUse counts what a volume holds, at most so many files; 0 is as many as
// the guard counts.
//
// Errors: NotFound.
func (s *Swarm) VolumeUse(ctx context.Context, v Volume, most int64) (service.VolumeUse, error) {
	var a dockercall.VolumeUse
	err := s.call(ctx, dockercall.VolumeUsagePath, dockercall.VolumeUsage{
		Environment: dockercall.Environment(v.Environment), Project: dockercall.ProjectID(v.Project), Name: dockercall.VolumeName(v.Name), Most: most,
	}, &a)
	u := service.VolumeUse{Path: a.Path, Bytes: a.Bytes, Files: a.Files, Partial: a.Partial}
	if a.Modified > 0 {
		u.Modified = time.Unix(a.Modified, 0)
	}
	return u, err
}

// CleanVolume empties a cache or a log, and tells how much that freed.
//
// Errors: NotFound; Denied when a container has data there.
func (s *Swarm) CleanVolume(ctx context.Context, v Volume, c service.Cleaning) (bytes, files int64, err error) {
	var a dockercall.VolumeCleaned
	err = s.call(ctx, dockercall.VolumeCleanPath, dockercall.VolumeClean{
		Environment: dockercall.Environment(v.Environment), Project: dockercall.ProjectID(v.Project), Name: dockercall.VolumeName(v.Name),
		Part: dockercall.VolumePart(c.Part), Keep: c.Keep,
	}, &a)
	return a.Bytes, a.Files, err
}
