package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/service"
	"havre/internal/spec"
)

// SecretUse is a value of a secret as a project mounts it.
type SecretUse struct {
	Environment string
	Project     spec.ProjectID
	Name        string // as people call it
	Version     string // tells its values apart
	Owner       service.Owner
}

// EnsureSecret has the swarm keep a value for a project, and returns the
// secret's id and name. The same version of the same owner is kept once; of
// another it is another secret, for an engine gives all mounts of one secret in
// a container the owner and mode of the last.
//
// Errors: Denied when it is empty or more than a swarm keeps.
func (s *Swarm) EnsureSecret(ctx context.Context, use SecretUse, value secret.Text) (id, name string, err error) {
	sum := sha256.Sum256([]byte(use.Owner.String()))
	name = fmt.Sprintf("h-%s-%s-%s", use.Project, use.Version, hex.EncodeToString(sum[:])[:8])
	for range 2 {
		id, err = s.secretNamed(ctx, use.Project, name)
		if id != "" || err != nil {
			return id, name, err
		}
		var r client.SecretCreateResult
		r, err = s.api.SecretCreate(ctx, client.SecretCreateOptions{Spec: swarm.SecretSpec{
			Annotations: swarm.Annotations{Name: name, Labels: mark{kind: kindSecret, environment: use.Environment, project: use.Project}.labels(nil)},
			Data:        []byte(value.Reveal()),
		}})
		err = explain(err, "keep secret %s", use.Name)
		if problem.KindOf(err) != problem.Conflict { // else someone else was quicker
			return r.ID, name, err
		}
	}
	return "", "", err
}

// secretNamed is "" when there is none of that name.
func (s *Swarm) secretNamed(ctx context.Context, project spec.ProjectID, name string) (string, error) {
	r, err := s.api.SecretList(ctx, client.SecretListOptions{
		Filters: ours(labelKind+"="+kindSecret, labelProject+"="+string(project)),
	})
	for _, c := range r.Items {
		if c.Spec.Name == name {
			return c.ID, nil
		}
	}
	return "", explain(err, "list the secrets of project %s", project)
}

// TidySecrets takes secrets away that no swarm service mounts, whosever
// project they were.
func (s *Swarm) TidySecrets(ctx context.Context) error {
	used, err := s.mounted(ctx)
	if err != nil {
		return err
	}
	r, err := s.api.SecretList(ctx, client.SecretListOptions{Filters: ours(labelKind + "=" + kindSecret)})
	if err != nil {
		return explain(err, "list the secrets")
	}
	for _, c := range r.Items {
		if used[c.ID] {
			continue
		}
		_, err := s.api.SecretRemove(ctx, c.ID, client.SecretRemoveOptions{})
		if err == nil || inUse(err) {
			continue
		}
		if err = explain(err, "remove secret %s", c.Spec.Name); problem.KindOf(err) != problem.NotFound {
			return err
		}
	}
	return nil
}
