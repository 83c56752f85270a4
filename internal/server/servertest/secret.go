package servertest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/server"
	"havre/internal/spec"
)

// held is a secret of an environment and what it holds.
type held struct {
	api.Secret
	value string
}

// ListSecrets gives those that were made, and who uses them.
func (f *Fake) ListSecrets(_ context.Context, environment string) ([]api.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []api.Secret
	for _, s := range f.secrets {
		if environment == "" || environment == s.Environment {
			list = append(list, f.told(s))
		}
	}
	slices.SortFunc(list, func(a, b api.Secret) int {
		return strings.Compare(a.Environment+"/"+a.Name, b.Environment+"/"+b.Name)
	})
	return list, nil
}

// told is a secret with those who use it.
func (f *Fake) told(s held) api.Secret {
	shown := s.Secret
	for _, k := range f.kept {
		version, uses := k.secrets[s.Name]
		if k.env != s.Environment || !uses {
			continue
		}
		shown.UsedBy = append(shown.UsedBy, k.full())
		if version != s.Version {
			shown.Behind = append(shown.Behind, k.full())
		}
	}
	return shown
}

func (f *Fake) secret(environment, name string) int {
	return slices.IndexFunc(f.secrets, func(s held) bool { return s.Environment == environment && s.Name == name })
}

// CreateSecret keeps a value.
func (f *Fake) CreateSecret(_ context.Context, want api.NewSecret) (api.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := want.Value.Text().Reveal()
	if value == "" || len(value) > spec.MaxSecret {
		return api.Secret{}, problem.New(problem.Invalid, "the secret %s has %d bytes", want.Name, len(value)).With("give it 1 to %d bytes", spec.MaxSecret)
	}
	i := f.secret(want.Environment, want.Name)
	if i < 0 {
		i = len(f.secrets)
		f.secrets = append(f.secrets, held{})
	}
	if s := &f.secrets[i]; s.value != value {
		f.values++
		*s = held{api.Secret{Name: want.Name, Environment: want.Environment, Version: fmt.Sprintf("%032x", f.values), Created: f.now()}, value}
	}
	return f.told(f.secrets[i]), nil
}

// RemoveSecret forgets one that nothing uses.
func (f *Fake) RemoveSecret(_ context.Context, environment, name string) (api.Removed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.secret(environment, name)
	if i < 0 {
		return api.Removed{}, problem.New(problem.NotFound, "there is no secret %s in environment %s", name, environment).With("list them with: havre secret ls")
	}
	if by := f.told(f.secrets[i]).UsedBy; len(by) > 0 {
		return api.Removed{}, problem.New(problem.Conflict, "the secret %s is used by %s", name, strings.Join(by, ", ")).With("take it out of their files and apply them, or remove them with: havre rm")
	}
	f.secrets = slices.Delete(f.secrets, i, i+1)
	return api.Removed{Gone: []string{"secret " + name}}, nil
}

// RenewSecret starts those that have a former value anew.
func (f *Fake) RenewSecret(ctx context.Context, environment, name string, report server.Report) error {
	f.mu.Lock()
	i := f.secret(environment, name)
	var behind []*kept
	if i >= 0 {
		for _, k := range f.kept {
			if version, uses := k.secrets[name]; uses && k.env == environment && version != f.secrets[i].Version {
				behind = append(behind, k)
				k.secrets[name] = f.secrets[i].Version
			}
		}
	}
	f.mu.Unlock()
	if i < 0 {
		return problem.New(problem.NotFound, "there is no secret %s in environment %s", name, environment).With("list them with: havre secret ls")
	}
	for _, k := range behind {
		c := api.Change{Verb: "update", Service: k.spec.Name, Rollout: k.rollout + 1, Why: []string{"secret " + name + " changed"}}
		f.set(func() { k.rollout = c.Rollout; k.record(c, f.now()) })
		report(api.Progress{Plan: &api.Plan{Environment: k.env, Project: k.project, Changes: []api.Change{c}}})
		if err := f.start(ctx, k, report); err != nil {
			return err
		}
	}
	return nil
}

// mounted are the secrets that a service mounts, by the environment's name or,
// for the project's own, by project and name, in their present versions.
func (f *Fake) mounted(want api.Apply, s spec.Service) (map[string]string, problem.List) {
	all := map[string]string{}
	var wrong problem.List
	for _, m := range s.Mounts {
		declared, _ := want.Project.Secret(m.Source)
		switch i := f.secret(want.Environment, declared.External); {
		case m.Kind != spec.SecretFile:
		case declared.External == "":
			for _, v := range want.Secrets {
				if v.Name == declared.Name {
					all[want.Project.Name+"/"+v.Name] = v.Value.Text().Reveal()
				}
			}
		case i < 0:
			wrong = append(wrong, problem.New(problem.NotFound, "there is no secret %s in environment %s", declared.External, want.Environment).With("create it with: havre secret create %s", declared.External))
		default:
			all[declared.External] = f.secrets[i].Version
		}
	}
	return all, wrong
}
