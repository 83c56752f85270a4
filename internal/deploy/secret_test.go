package deploy_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/deploy/deploytest"
	"havre/internal/problem"
	"havre/internal/secret"
	"havre/internal/spec"
)

// secretive mounts a secret of its own, password, and one of the environment.
func secretive(password string) api.Apply {
	return api.Apply{
		Project: spec.Project{
			Name: "shop", Secrets: []spec.Secret{{Name: "key", External: "shared"}, {Name: "password"}},
			Services: []spec.Service{{Name: "web", Image: "good", Replicas: 1, Mounts: []spec.Mount{
				{Kind: spec.SecretFile, Source: "key", Target: "/run/secrets/key"}, {Kind: spec.SecretFile, Source: "password", Target: "/run/secrets/password", Mode: 0o400},
			}}},
		},
		Secrets: []api.SecretValue{{Name: "password", Value: secret.Sent(password)}},
	}
}

// bring applies, and gives the plan.
func (w *world) bring(want api.Apply) (api.Plan, error) {
	w.t.Helper()
	var plan api.Plan
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	err := w.Apply(ctx, want, func(p api.Progress) {
		if p.Plan != nil {
			plan = *p.Plan
		}
	})
	return plan, err
}

func (w *world) shared(value string) api.Secret {
	w.t.Helper()
	s, err := w.CreateSecret(w.t.Context(), api.NewSecret{Name: "shared", Value: secret.Sent(value)})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// hushed runs a test with a vault.
func hushed(t *testing.T, test func(t *testing.T, w *world, v *deploytest.Vault)) {
	in(t, func(t *testing.T, w *world) {
		v := &deploytest.Vault{}
		w.Vault = v
		w.images()
		test(t, w, v)
	})
}

func why(p api.Plan) string {
	var words []string
	for _, c := range p.Changes {
		words = append(words, c.Verb)
		words = append(words, c.Why...)
	}
	return strings.Join(words, ", ")
}

func TestChangedSecretIsAnUpdateThatNamesIt(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, _ *deploytest.Vault) {
		w.shared("one")
		for _, step := range []struct{ password, want string }{
			{"hunter2", "create"}, {"hunter2", "keep"}, {"hunter3", "update, secret password changed"}, {"hunter3", "keep"},
		} {
			if p, err := w.bring(secretive(step.password)); err != nil || why(p) != step.want {
				t.Errorf("got %s, want %s; %v", why(p), step.want, err)
			}
		}
		records, err := w.records.Projects(t.Context())
		text, _ := json.Marshal(records)
		if err != nil || strings.Contains(string(text), "hunter") || strings.Contains(string(text), "aHVudGVy") {
			t.Errorf("a record holds a value: %s, %v", text, err)
		}
		w.quiet()
		if n := len(w.cluster.State().Secrets); n != 2 {
			t.Errorf("the swarm has %v", w.cluster.State().Secrets)
		}
	})
}

func TestSharedSecretWaitsForAnApplyOrIsRenewed(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, _ *deploytest.Vault) {
		w.shared("one")
		if _, err := w.bring(secretive("x")); err != nil {
			t.Fatal(err)
		}
		if s := w.shared("two"); !slices.Equal(s.UsedBy, []string{"prod.shop.web"}) || !slices.Equal(s.Behind, s.UsedBy) {
			t.Errorf("got %+v", s)
		}
		if p, err := w.Plan(t.Context(), secretive("x")); err != nil || why(p) != "update, secret key changed" {
			t.Errorf("got %s, %v", why(p), err)
		}
		var plans []string
		renew := func() error {
			plans = nil
			return w.RenewSecret(t.Context(), "", "shared", func(p api.Progress) {
				if p.Plan != nil {
					plans = append(plans, why(*p.Plan))
				}
			})
		}
		if err := renew(); err != nil || !slices.Equal(plans, []string{"update, secret key changed"}) {
			t.Errorf("got %v, %v", plans, err)
		}
		if err := renew(); err != nil || len(plans) != 0 {
			t.Errorf("renewed once more: %v, %v", plans, err)
		}
		if p, err := w.Plan(t.Context(), secretive("x")); err != nil || why(p) != "keep" {
			t.Errorf("got %s, %v", why(p), err)
		}
		if all, err := w.ListSecrets(t.Context(), "prod"); err != nil || len(all) != 1 || len(all[0].Behind) != 0 {
			t.Errorf("got %+v, %v", all, err)
		}
	})
}

// A shared secret is everybody's: projects come and go while it is renewed.
func TestRenewPassesOverProjectsThatGoMeanwhile(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, _ *deploytest.Vault) {
		w.shared("one")
		if _, err := w.bring(secretive("x")); err != nil {
			t.Fatal(err)
		}
		w.must("zoo", app("web", "good"))
		w.shared("two")
		renewed := false
		err := w.RenewSecret(t.Context(), "", "shared", func(p api.Progress) {
			if p.Plan == nil {
				return
			}
			renewed = true
			if _, err := w.Remove(t.Context(), api.Target{Name: "zoo", Project: true}, api.Removal{Volumes: true}); err != nil {
				t.Error(err)
			}
		})
		if err != nil || !renewed {
			t.Errorf("%v, %v", renewed, err)
		}
	})
}

func TestRollbackBringsFormerValues(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, v *deploytest.Vault) {
		first := w.shared("one")
		if _, err := w.bring(secretive("x")); err != nil {
			t.Fatal(err)
		}
		w.shared("two")
		if _, err := w.bring(secretive("y")); err != nil {
			t.Fatal(err)
		}
		if p, err := w.back("web", 1); err != nil || why(p) != "update, back to r1, secret key changed, secret password changed" {
			t.Errorf("got %s, %v", why(p), err)
		}
		records, err := w.records.Projects(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s := records[0].Service("web"); s.Active != 3 || s.Rollout(3).Secrets[0].Version != first.Version {
			t.Errorf("got %+v", s.Rollout(3))
		}
		if wrong := spec.Validate(records[0].Declared); len(wrong) > 0 {
			t.Error(wrong[0].Problem)
		}
		v.Lose()
		if _, err := w.back("web", 2); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "cannot be had again") {
			t.Errorf("back to values that are gone: %v", err)
		}
	})
}

func TestSecretThatIsUsedIsNotRemoved(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, _ *deploytest.Vault) {
		w.shared("one")
		if _, err := w.bring(secretive("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.RemoveSecret(t.Context(), "", "shared"); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "prod.shop.web") {
			t.Errorf("got %v", err)
		}
		if _, err := w.Remove(t.Context(), api.Target{Name: "shop", Project: true}, api.Removal{Volumes: true}); err != nil {
			t.Fatal(err)
		}
		if gone, err := w.RemoveSecret(t.Context(), "", "shared"); err != nil || !slices.Equal(gone.Gone, []string{"secret shared"}) {
			t.Errorf("got %+v, %v", gone, err)
		}
		if _, err := w.RemoveSecret(t.Context(), "", "shared"); problem.KindOf(err) != problem.NotFound {
			t.Errorf("removed twice: %v", err)
		}
		w.quiet()
		if left := w.cluster.State().Secrets; len(left) != 0 {
			t.Errorf("the swarm still has %v", left)
		}
	})
}

func TestBadSecretsAreRefusedTogether(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, _ *deploytest.Vault) {
		for says, spoil := range map[string]func(*api.Apply){
			"there is no secret shared in environment prod": func(*api.Apply) {},
			"no value came for the secret password":         func(a *api.Apply) { a.Secrets = nil },
			"a value came for the secret other":             func(a *api.Apply) { a.Secrets = append(a.Secrets, api.SecretValue{Name: "other"}) },
			"a value came for the secret key":               func(a *api.Apply) { a.Secrets = append(a.Secrets, api.SecretValue{Name: "key"}) },
			"the secret password has 0 bytes":               func(a *api.Apply) { a.Secrets[0].Value = nil },
			"the secret password has 512000 bytes":          func(a *api.Apply) { a.Secrets[0].Value = make(secret.Sent, 512000) },
		} {
			want := secretive("hunter2")
			spoil(&want)
			_, err := w.Plan(t.Context(), want)
			if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("want %s, got %v", says, err)
			}
		}
		for _, bad := range []api.NewSecret{{Name: "a/b", Value: secret.Sent("x")}, {Name: "a"}, {Name: "a", Value: make(secret.Sent, 512000)}} {
			if _, err := w.CreateSecret(t.Context(), bad); problem.KindOf(err) != problem.Invalid {
				t.Errorf("%s with %d bytes: %v", bad.Name, len(bad.Value), err)
			}
		}
		if _, err := w.CreateSecret(t.Context(), api.NewSecret{Environment: "nowhere", Name: "a", Value: secret.Sent("x")}); problem.KindOf(err) != problem.NotFound {
			t.Errorf("got %v", err)
		}
	})
}

func TestRollbackDeclaresItsSecretsAgain(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, _ *deploytest.Vault) {
		w.shared("one")
		if _, err := w.bring(secretive("x")); err != nil {
			t.Fatal(err)
		}
		plain := secretive("x")
		plain.Secrets, plain.Project.Secrets, plain.Project.Services[0].Mounts = nil, nil, nil
		if _, err := w.bring(plain); err != nil {
			t.Fatal(err)
		}
		if _, err := w.back("web", 1); err != nil {
			t.Fatal(err)
		}
		if got := w.record("shop").Declared.Secrets; !slices.Equal(got, secretive("").Project.Secrets) {
			t.Errorf("declared: %v", got)
		}
	})
}
