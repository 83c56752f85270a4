package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/problem"
	"havre/internal/spec"
)

// EnsureConfig has the swarm keep a file's content for a project, and returns
// the config's id and name. The same content is kept once.
//
// Errors: Invalid when it is more than a swarm keeps.
func (s *Swarm) EnsureConfig(ctx context.Context, environment string, project spec.ProjectID, f spec.File) (id, name string, err error) {
	if len(f.Content) > spec.MaxFile {
		return "", "", problem.New(problem.Invalid, "file %s is %d bytes, more than %d", f.Name, len(f.Content), spec.MaxFile).With("put it into a volume or into the image")
	}
	sum := sha256.Sum256(f.Content)
	name = fmt.Sprintf("h-%s-%s", project, hex.EncodeToString(sum[:])[:32])
	for range 2 {
		id, err = s.configNamed(ctx, project, name)
		if id != "" || err != nil {
			return id, name, err
		}
		var r client.ConfigCreateResult
		r, err = s.api.ConfigCreate(ctx, client.ConfigCreateOptions{Spec: swarm.ConfigSpec{
			Annotations: swarm.Annotations{Name: name, Labels: mark{kind: kindConfig, environment: environment, project: project}.labels(nil)},
			Data:        f.Content,
		}})
		err = explain(err, "keep file %s", f.Name)
		if problem.KindOf(err) != problem.Conflict { // else someone else was quicker
			return r.ID, name, err
		}
	}
	return "", "", err
}

func (s *Swarm) configs(ctx context.Context, project spec.ProjectID) ([]swarm.Config, error) {
	r, err := s.api.ConfigList(ctx, client.ConfigListOptions{
		Filters: ours(labelKind+"="+kindConfig, labelProject+"="+string(project)),
	})
	return r.Items, explain(err, "list the files of project %s", project)
}

// configNamed is "" when there is none of that name.
func (s *Swarm) configNamed(ctx context.Context, project spec.ProjectID, name string) (string, error) {
	all, err := s.configs(ctx, project)
	for _, c := range all {
		if c.Spec.Name == name {
			return c.ID, nil
		}
	}
	return "", err
}

// RemoveConfigs takes a project's configs away that are not in keep and that
// no swarm service uses.
func (s *Swarm) RemoveConfigs(ctx context.Context, project spec.ProjectID, keep []string) error {
	all, err := s.configs(ctx, project)
	if err != nil {
		return err
	}
	for _, c := range all {
		if slices.Contains(keep, c.ID) {
			continue
		}
		_, err := s.api.ConfigRemove(ctx, c.ID, client.ConfigRemoveOptions{})
		if err == nil || inUse(err) {
			continue
		}
		if err = explain(err, "remove file %s", c.Spec.Name); problem.KindOf(err) != problem.NotFound {
			return err
		}
	}
	return nil
}

// inUse tells whether a service still mounts the config. An engine says so by
// its words only (SwarmKit, RemoveConfig).
func inUse(err error) bool {
	return strings.Contains(err.Error(), "is in use by the following service")
}
