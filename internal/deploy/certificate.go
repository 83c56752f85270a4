package deploy

import (
	"context"
	"errors"
	"slices"
	"time"

	"havre/internal/api"
	"havre/internal/problem"
	"havre/internal/project"
	"havre/internal/secret"
	"havre/internal/spec"
)

// Certifier gives certificates to services that do TLS themselves.
type Certifier interface {
	// Mountable is the certificate that a host has now: PEM, the chain and then
	// the key.
	// Errors: Invalid when the host can have none.
	Mountable(host string, now time.Time) (secret.Text, error)
}

// certify keeps the certificate of a host as a secret of the environment. Only
// whose domain it is may have it. That a plan keeps it, too, is no harm: what
// nobody declares is forgotten.
// Errors: Invalid.
func (d *Deployer) certify(ctx context.Context, environment, host string, p spec.Project) (project.Secret, error) {
	mine := slices.ContainsFunc(p.Services, func(s spec.Service) bool {
		return slices.ContainsFunc(s.Domains, func(at spec.Domain) bool { return at.Host == host })
	})
	if !mine || d.Certificates == nil {
		return project.Secret{}, problem.New(problem.Invalid, "the certificate of %s is not this project's", host).
			With("declare the domain in it: x-havre: {domains: [%s]}", host)
	}
	return d.freshCertificate(ctx, environment, host)
}

func (d *Deployer) freshCertificate(ctx context.Context, environment, host string) (project.Secret, error) {
	at := project.Secret{Environment: environment, Name: spec.CertificateSecret(host), Created: time.Now().UTC()}
	value, err := d.Certificates.Mountable(host, at.Created)
	if err != nil {
		return at, err
	}
	at.Version = d.Vault.Version(at, value)
	known, err := d.Vault.Secrets(ctx, environment)
	if err != nil || slices.ContainsFunc(known, func(s project.Secret) bool { return s.Name == at.Name && s.Version == at.Version }) {
		return at, err
	}
	return at, d.Vault.Keep(ctx, at, value)
}

// RenewCertificates has services that mount a certificate run with the present
// one, each by a switch, and forgets those that nobody mounts. It is called
// again and again; where nothing changed it does nothing.
// Errors: Failed when a service does not get healthy.
func (d *Deployer) RenewCertificates(ctx context.Context) error {
	records, err := d.Records.Projects(ctx)
	if err != nil {
		return err
	}
	type place struct{ environment, name string }
	wanted := map[place]bool{}
	var wrong []error
	for _, r := range records {
		for _, s := range r.Declared.Secrets {
			host, ok := spec.CertificateHost(s.External)
			if !ok || r.Removed || wanted[place{r.Environment, s.External}] {
				continue
			}
			wanted[place{r.Environment, s.External}] = true
			_, err := d.freshCertificate(ctx, r.Environment, host)
			if err == nil {
				err = d.RenewSecret(ctx, r.Environment, s.External, func(api.Progress) {})
			}
			wrong = append(wrong, err)
		}
	}
	known, err := d.Vault.Secrets(ctx, "")
	for _, s := range known {
		if _, ok := spec.CertificateHost(s.Name); ok && !wanted[place{s.Environment, s.Name}] {
			wrong = append(wrong, d.Vault.Forget(ctx, s.Environment, s.Name))
		}
	}
	return errors.Join(append(wrong, err)...)
}
