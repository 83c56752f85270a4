package role

import (
	"context"
	"fmt"
	"time"

	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/secret"
	"havre/internal/service"
	"havre/internal/spec"
	"havre/internal/store"
	"havre/internal/swarm"
)

// vault keeps secrets in the database, sealed with the key that lies beside
// it, and hands them to the swarm.
type vault struct {
	db     *store.Store
	key    secret.Key
	engine *swarm.Swarm
}

// about are the words that a value is sealed with: it opens nowhere else.
func about(at project.Secret) []string {
	return []string{at.Environment, string(at.Project), at.Name}
}

// Version is the fingerprint of a value in a place.
func (v vault) Version(at project.Secret, value secret.Text) string {
	return v.key.Print(value, about(at)...)
}

// Keep remembers a value, sealed.
func (v vault) Keep(ctx context.Context, at project.Secret, value secret.Text) error {
	sealed, err := v.key.Seal(value, append(about(at), at.Version)...)
	if err != nil {
		return err
	}
	return v.db.KeepSecret(ctx, at, sealed)
}

// Value opens what was kept.
// Errors: NotFound; Failed when it does not open.
func (v vault) Value(ctx context.Context, at project.Secret) (secret.Text, error) {
	sealed, err := v.db.SealedSecret(ctx, at.Version)
	if err != nil {
		return secret.Text{}, err
	}
	value, err := v.key.Open(sealed, append(about(at), at.Version)...)
	if err != nil {
		return value, problem.New(problem.Failed, "open the kept secret %s", at.Name).Because(err).
			With("put the key back that belongs to the database, server/secret.key, or give the secret a value again")
	}
	return value, nil
}

// Secrets gives what an environment's names mean.
func (v vault) Secrets(ctx context.Context, environment string) ([]project.Secret, error) {
	return v.db.Secrets(ctx, environment)
}

// Forget takes a name away.
func (v vault) Forget(ctx context.Context, environment, name string) error {
	return v.db.ForgetSecret(ctx, environment, name)
}

// EnsureSecret has the swarm keep a value for a project.
func (v vault) EnsureSecret(ctx context.Context, environment string, p spec.ProjectID, u service.SecretUse) (service.SecretFile, error) {
	value, err := v.Value(ctx, project.Placed(environment, p, u.Secret))
	if err != nil {
		return service.SecretFile{}, err
	}
	id, name, err := v.engine.EnsureSecret(ctx, swarm.SecretUse{Environment: environment, Project: p, Name: u.Name, Version: u.Version, Owner: u.Owner}, value)
	return service.SecretFile{SecretID: id, SecretName: name}, err
}

// unmounted is how long a value is kept that no rollout mounts: its
// declaration may be about to be remembered.
const unmounted = 10 * time.Minute

// TidySecrets removes what nothing mounts or needs, in the swarm and here.
func (v vault) TidySecrets(ctx context.Context) error {
	if err := v.engine.TidySecrets(ctx); err != nil {
		return err
	}
	if err := v.db.TidySecrets(ctx, time.Now().Add(-unmounted)); err != nil {
		return fmt.Errorf("forget values that nothing needs: %w", err)
	}
	return nil
}
