package deploy_test

import (
	"strings"
	"testing"
	"time"

	"havre/internal/api"
	"havre/internal/deploy/deploytest"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/secret"
	"havre/internal/spec"
)

// certifier gives every host the same certificate.
type certifier struct{ now string }

func (c *certifier) Mountable(host string, _ time.Time) (secret.Text, error) {
	return secret.New(host + " " + c.now), nil
}

// mailer mounts the certificate of mail.test.
func mailer(domain string) api.Apply {
	name := spec.CertificateSecret("mail.test")
	return api.Apply{Project: spec.Project{
		Name: "shop", Secrets: []spec.Secret{{Name: name, External: name}},
		Services: []spec.Service{{
			Name: "web", Image: "good", Replicas: 1, Domains: []spec.Domain{{Host: domain, Port: 80}},
			Mounts: []spec.Mount{{Kind: spec.SecretFile, Source: name, Target: "/run/havre/certificate.pem", ReadOnly: true}},
		}},
	}}
}

func TestNewCertificateIsASwitchForWhoMountsIt(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, v *deploytest.Vault) {
		c := &certifier{"one"}
		w.Certificates = c
		if _, err := w.bring(mailer("mail.test")); err != nil {
			t.Fatal(err)
		}
		mounted := func() (rollout int, value string) {
			r := w.record("shop")
			s := r.Service("web")
			cur := s.Rollout(s.Active)
			text, err := v.Value(t.Context(), project.Placed(r.Environment, r.ID, cur.Secrets[0]))
			if err != nil {
				t.Fatal(err)
			}
			return s.Active, text.Reveal()
		}
		renew := func() {
			t.Helper()
			if err := w.RenewCertificates(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		renew()
		if n, value := mounted(); n != 1 || value != "mail.test one" {
			t.Errorf("with nothing new: r%d mounts %q", n, value)
		}
		c.now = "two"
		renew()
		if n, value := mounted(); n != 2 || value != "mail.test two" {
			t.Errorf("after a renewal: r%d mounts %q", n, value)
		}
		want := mailer("mail.test")
		want.Project.Secrets, want.Project.Services[0].Mounts = nil, nil
		if _, err := w.bring(want); err != nil {
			t.Fatal(err)
		}
		renew()
		if left, err := w.ListSecrets(t.Context(), ""); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

func TestCertificateOfADomainIsForItsProjectAlone(t *testing.T) {
	hushed(t, func(t *testing.T, w *world, _ *deploytest.Vault) {
		w.Certificates = &certifier{"one"}
		if _, err := w.bring(mailer("other.test")); problem.KindOf(err) != problem.Invalid || !strings.Contains(err.Error(), "mail.test is not this project's") {
			t.Errorf("err = %v", err)
		}
		_, err := w.CreateSecret(t.Context(), api.NewSecret{Name: spec.CertificateSecret("mail.test"), Value: secret.Sent("forged")})
		if problem.KindOf(err) != problem.Invalid {
			t.Errorf("a person fills it: %v", err)
		}
	})
}
