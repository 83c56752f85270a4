package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/problem"
	"havre/internal/service"
	"havre/internal/spec"
)

// EnsureConfig has the swarm keep a file's content for a project, and returns
// the config's id and name. The same content of the same owner and mode is kept
// once; of another it is another config, for an engine gives all mounts of one
// config in a container the owner and mode of the last.
//
// Errors: Invalid when it is more than a swarm keeps.
func (s *Swarm) EnsureConfig(ctx context.Context, environment string, project spec.ProjectID, f service.File) (id, name string, err error) {
	if len(f.Content) > spec.MaxFile {
		return "", "", problem.New(problem.Invalid, "the file at %s is %d bytes, more than %d", f.Target, len(f.Content), spec.MaxFile).With("put it into a volume or into the image")
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s:%s", service.Owner{UID: f.UID, GID: f.GID, Mode: f.Mode}, f.Content))
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
		err = explain(err, "keep the file at %s", f.Target)
		if problem.KindOf(err) != problem.Conflict { // else someone else was quicker
			return r.ID, name, err
		}
	}
	return "", "", err
}

// configNamed is "" when there is none of that name.
func (s *Swarm) configNamed(ctx context.Context, project spec.ProjectID, name string) (string, error) {
	r, err := s.api.ConfigList(ctx, client.ConfigListOptions{
		Filters: ours(labelKind+"="+kindConfig, labelProject+"="+string(project)),
	})
	for _, c := range r.Items {
		if c.Spec.Name == name {
			return c.ID, nil
		}
	}
	return "", explain(err, "list the files of project %s", project)
}

// TidyConfigs takes configs away that no swarm service mounts, whosever
// project they were: also one that nobody remembers.
func (s *Swarm) TidyConfigs(ctx context.Context) error {
	used, err := s.mounted(ctx)
	if err != nil {
		return err
	}
	r, err := s.api.ConfigList(ctx, client.ConfigListOptions{Filters: ours(labelKind + "=" + kindConfig)})
	if err != nil {
		return explain(err, "list the files")
	}
	for _, c := range r.Items {
		if used[c.ID] {
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

// mounted are the ids of the configs and secrets that swarm services mount,
// those of hooks among them.
func (s *Swarm) mounted(ctx context.Context) (map[string]bool, error) {
	r, err := s.api.ServiceList(ctx, client.ServiceListOptions{Filters: ours(labelKind)})
	if err != nil {
		return nil, explain(err, "list services")
	}
	used := map[string]bool{}
	for _, one := range r.Items {
		box := one.Spec.TaskTemplate.ContainerSpec
		if box == nil {
			continue
		}
		for _, c := range box.Configs {
			used[c.ConfigID] = true
		}
		for _, c := range box.Secrets {
			used[c.SecretID] = true
		}
	}
	return used, nil
}

// inUse tells whether a service mounts a config or a secret that was to be
// removed. An engine says so by its words only (SwarmKit, RemoveConfig and
// RemoveSecret).
func inUse(err error) bool {
	return strings.Contains(err.Error(), "is in use by the following service")
}
