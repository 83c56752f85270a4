package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/secret"
	"havre/internal/service"
	"havre/internal/spec"
)

// Vault keeps the values of secrets, encrypted.
type Vault interface {
	// Version is the fingerprint of a value in a place. Nothing is kept.
	Version(at project.Secret, value secret.Text) string
	// Keep remembers a value under its version; an environment's name means it
	// from then on.
	Keep(ctx context.Context, at project.Secret, value secret.Text) error
	// Errors: NotFound when it is not kept; Failed when it does not open.
	Value(ctx context.Context, at project.Secret) (secret.Text, error)
	// Secrets gives what the names of an environment mean, sorted; all
	// environments' when it is "".
	Secrets(ctx context.Context, environment string) ([]project.Secret, error)
	// Forget lets a name of an environment mean nothing any more. Values that
	// remembered rollouts mount stay.
	Forget(ctx context.Context, environment, name string) error
}

// versions finds which value each secret of a declaration has, by name.
// Errors: problem.List of NotFound and Invalid problems.
func (d *Deployer) versions(ctx context.Context, r project.Record, want api.Apply) (map[string]string, error) {
	found := map[string]string{}
	var wrong problem.List
	known := map[string]string{}
	if slices.ContainsFunc(want.Project.Secrets, func(s spec.Secret) bool { return s.External != "" }) {
		all, err := d.Vault.Secrets(ctx, r.Environment)
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			known[s.Name] = s.Version
		}
	}
	given := map[string]secret.Text{}
	for _, v := range want.Secrets {
		if s, declared := want.Project.Secret(v.Name); !declared || s.External != "" {
			wrong = append(wrong, problem.New(problem.Invalid, "a value came for the secret %s, which takes none", v.Name).With("send values of declared secrets only"))
		}
		given[v.Name] = v.Value.Text()
	}
	for _, s := range want.Project.Secrets {
		value, came := given[s.Name]
		version, there := known[s.External]
		host, certificate := spec.CertificateHost(s.External)
		switch {
		case certificate:
			at, err := d.certify(ctx, r.Environment, host, want.Project)
			if err != nil {
				wrong = append(wrong, problem.Of(err))
			}
			found[s.Name] = at.Version
		case s.External != "" && !there:
			wrong = append(wrong, noSecret(r.Environment, s.External))
		case s.External != "":
			found[s.Name] = version
		case !came:
			wrong = append(wrong, problem.New(problem.Invalid, "no value came for the secret %s", s.Name).With("apply the file with havre apply, which reads it"))
		default:
			wrong = append(wrong, fits(s.Name, value)...)
			found[s.Name] = d.Vault.Version(ownSecret(r, s.Name), value)
		}
	}
	return found, wrong.AsError()
}

func ownSecret(r project.Record, name string) project.Secret {
	return project.Secret{Environment: r.Environment, Project: r.ID, Name: name}
}

func noSecret(environment, name string) *problem.Problem {
	return problem.New(problem.NotFound, "there is no secret %s in environment %s", name, environment).
		With("create it with: havre secret create %s", name)
}

// fits tells whether a swarm could keep a value.
func fits(name string, value secret.Text) problem.List {
	if n := len(value.Reveal()); n < 1 || n > spec.MaxSecret {
		return problem.List{problem.New(problem.Invalid, "the secret %s has %d bytes", name, n).With("give it 1 to %d bytes", spec.MaxSecret)}
	}
	return nil
}

// keep remembers the values that came with a declaration. A value that no
// rollout mounts in the end is forgotten again some time later.
func (d *Deployer) keep(ctx context.Context, r project.Record, want api.Apply) error {
	for _, v := range want.Secrets {
		at, value := ownSecret(r, v.Name), v.Value.Text()
		at.Version = d.Vault.Version(at, value)
		if err := d.Vault.Keep(ctx, at, value); err != nil {
			return fmt.Errorf("keep the secret %s: %w", v.Name, err)
		}
	}
	return nil
}

// secretsOf are those that a service mounts, each once, in their values.
func secretsOf(p spec.Project, s spec.Service, versions map[string]string) []service.Secret {
	var all []service.Secret
	for _, m := range s.Mounts {
		declared, there := p.Secret(m.Source)
		if m.Kind == spec.SecretFile && there {
			all = append(all, service.Secret{Name: declared.Name, External: declared.External, Version: versions[declared.Name]})
		}
	}
	slices.SortFunc(all, func(a, b service.Secret) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(all)
}

// secretChanges names the secrets that both rollouts mount, in other values.
func secretChanges(had, next []service.Secret) []string {
	var words []string
	for _, s := range next {
		i := slices.IndexFunc(had, func(o service.Secret) bool { return o.Name == s.Name })
		if i >= 0 && had[i].Version != s.Version {
			words = append(words, "secret "+s.Name+" changed")
		}
	}
	return words
}

// versionWords tell values apart for people, by the begin of a fingerprint.
func versionWords(secrets []service.Secret) map[string]string {
	all := map[string]string{}
	for _, s := range secrets {
		all[s.Name] = "version " + s.Version[:min(len(s.Version), 12)]
	}
	return all
}

// reinstate puts the secrets that a former rollout mounts into a declaration,
// but for those that another service goes on with.
func reinstate(p *spec.Project, secrets []service.Secret) {
	for _, s := range secrets {
		declared := spec.Secret{Name: s.Name, External: s.External}
		i := slices.IndexFunc(p.Secrets, func(o spec.Secret) bool { return o.Name == s.Name })
		switch {
		case i < 0:
			p.Secrets = append(p.Secrets, declared)
		case !mounts(*p, spec.SecretFile, s.Name):
			p.Secrets[i] = declared
		}
	}
	slices.SortFunc(p.Secrets, func(a, b spec.Secret) int { return strings.Compare(a.Name, b.Name) })
}

// lost finds secrets of a former rollout whose values are gone.
func (d *Deployer) lost(ctx context.Context, r *project.Record, ro project.Rollout) problem.List {
	var wrong problem.List
	for _, s := range ro.Secrets {
		if _, err := d.Vault.Value(ctx, project.Placed(r.Environment, r.ID, s)); err != nil {
			wrong = append(wrong, problem.New(problem.Conflict, "the value that the secret %s had in r%d cannot be had again", s.Name, ro.Number).
				Because(err).With("apply a file with the value that you want"))
		}
	}
	return wrong
}

// ListSecrets gives an environment's secrets and who uses them, sorted; those
// of all environments when it is "".
func (d *Deployer) ListSecrets(ctx context.Context, environment string) ([]api.Secret, error) {
	kept, err := d.Vault.Secrets(ctx, environment)
	if err != nil {
		return nil, err
	}
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return nil, err
	}
	list := []api.Secret{}
	for _, s := range kept {
		list = append(list, secretOf(records, s))
	}
	return list, nil
}

// secretOf tells of one secret of an environment, and who mounts it.
func secretOf(records []project.Record, s project.Secret) api.Secret {
	shown := api.Secret{Name: s.Name, Environment: s.Environment, Version: s.Version, Created: s.Created}
	for i := range records {
		r := &records[i]
		if r.Environment != s.Environment {
			continue
		}
		for _, svc := range r.Present() {
			uses, behind := mountsSecret(svc, s)
			if uses {
				shown.UsedBy = append(shown.UsedBy, project.Ref{Record: r, Service: svc}.String())
			}
			if behind {
				shown.Behind = append(shown.Behind, project.Ref{Record: r, Service: svc}.String())
			}
		}
	}
	return shown
}

// mountsSecret tells whether a rollout in use mounts a secret of the
// environment, and whether the one that should serve has another value of it.
func mountsSecret(s *project.Service, kept project.Secret) (uses, behind bool) {
	for _, n := range []int{s.Active, s.Target} {
		ro := s.Rollout(n)
		if ro == nil {
			continue
		}
		for _, m := range ro.Secrets {
			if m.External == kept.Name {
				uses = true
				behind = behind || n == s.Target && m.Version != kept.Version
			}
		}
	}
	return uses, behind
}

// CreateSecret keeps a value under a name of an environment, in place of the
// former one if there is any. Services that run go on with what they have.
// Errors: Invalid; NotFound when there is no such environment.
func (d *Deployer) CreateSecret(ctx context.Context, want api.NewSecret) (api.Secret, error) {
	at := project.Secret{Environment: cmp.Or(want.Environment, spec.DefaultEnvironment), Name: want.Name}
	value := want.Value.Text()
	if err := d.there(at.Environment); err != nil {
		return api.Secret{}, err
	}
	if !spec.ValidSecret(at.Name) {
		return api.Secret{}, problem.New(problem.Invalid, "%q cannot name a secret", at.Name).With("%s", spec.SecretRemedy)
	}
	if _, ours := spec.CertificateHost(at.Name); ours {
		return api.Secret{}, problem.New(problem.Invalid, "secrets named %s are certificates, which Havre keeps itself", at.Name).With("choose another name")
	}
	if wrong := fits(at.Name, value); len(wrong) > 0 {
		return api.Secret{}, wrong[0]
	}
	at.Version, at.Created = d.Vault.Version(at, value), time.Now().UTC()
	d.Addresses.Lock()
	defer d.Addresses.Unlock()
	if err := d.Vault.Keep(ctx, at, value); err != nil {
		return api.Secret{}, fmt.Errorf("keep the secret %s: %w", at.Name, err)
	}
	records, err := d.Records.Projects(ctx)
	return secretOf(records, at), err
}

// secretNamed finds a secret of an environment.
// Errors: NotFound.
func (d *Deployer) secretNamed(ctx context.Context, environment, name string) (project.Secret, error) {
	if err := d.there(environment); err != nil {
		return project.Secret{}, err
	}
	all, err := d.Vault.Secrets(ctx, environment)
	if err != nil {
		return project.Secret{}, err
	}
	i := slices.IndexFunc(all, func(s project.Secret) bool { return s.Name == name })
	if i < 0 {
		return project.Secret{}, problem.New(problem.NotFound, "there is no secret %s in environment %s", name, environment).With("list them with: havre secret ls")
	}
	return all[i], nil
}

// RemoveSecret takes a name from an environment. Former rollouts that mount it
// keep its value to go back to.
// Errors: NotFound; Conflict while a service uses it, naming all that do.
func (d *Deployer) RemoveSecret(ctx context.Context, environment, name string) (api.Removed, error) {
	environment = cmp.Or(environment, spec.DefaultEnvironment)
	d.Addresses.Lock()
	defer d.Addresses.Unlock()
	at, err := d.secretNamed(ctx, environment, name)
	if err != nil {
		return api.Removed{}, err
	}
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return api.Removed{}, err
	}
	if by := secretOf(records, at).UsedBy; len(by) > 0 {
		return api.Removed{}, problem.New(problem.Conflict, "the secret %s is used by %s", name, strings.Join(by, ", ")).
			With("take it out of their files and apply them, or remove them with: havre rm")
	}
	return api.Removed{Gone: []string{"secret " + name}}, d.Vault.Forget(ctx, environment, name)
}
