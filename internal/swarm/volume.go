package swarm

import (
	"context"

	"havre/internal/dockercall"
	"havre/internal/problem"
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
}

// EnsureVolume makes a volume unless it is there, and returns its directory
// on this machine, the source of a bind mount.
func (s *Swarm) EnsureVolume(ctx context.Context, v VolumeUse) (source string, err error) {
	var answer dockercall.VolumeSource
	err = s.call(ctx, dockercall.VolumeEnsurePath, dockercall.VolumeEnsure{
		Environment: dockercall.Environment(v.Environment),
		Project:     dockercall.ProjectID(v.Project),
		Name:        dockercall.VolumeName(v.Name),
		Image:       dockercall.ImageID(v.Image),
		Path:        dockercall.Path(v.Path),
		User:        dockercall.User(v.User),
	}, &answer)
	return answer.Source, err
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
